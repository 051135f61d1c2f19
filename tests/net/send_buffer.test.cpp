// The send buffer: whatever is taken of it at a time, the bytes come in order, and none is moved to make room.
#include <doctest/doctest.h>

#include <random>
#include <string>

#include <understudy/net/send_buffer.hpp>

using namespace understudy;
using namespace understudy::net;

TEST_SUITE("send_buffer") {
    namespace {
    std::string take(SendBuffer& buffer, std::size_t most, SpareBlocks& spare) {
        const auto next = buffer.data();
        const std::string bytes{static_cast<const char*>(next.data()), std::min(most, next.size())};
        buffer.consume(bytes.size(), spare);
        return bytes;
    }
    }  // namespace

    TEST_CASE("frames come out in order however they are taken") {
        std::mt19937 random{3};
        SpareBlocks spare;
        SendBuffer buffer;
        std::string all, sent;
        for (int round = 0; round < 2'000; ++round) {
            const auto longest = random() % 8 == 0 ? 200'000u : 300u;
            const std::string payload(random() % longest, static_cast<char>('a' + round % 26));
            if (round % 3 == 0) {
                buffer.append_frame(payload, spare);
            } else {
                buffer.begin_frame(spare).append(payload);
                if (round % 3 == 1) buffer.end_frame();
                else CHECK(buffer.drop_frame() == payload);
            }
            if (round % 3 != 2) wire::append_frame(all, payload);
            while (random() % 3 != 0 && !buffer.empty()) sent += take(buffer, random() % 100'000 + 1, spare);
            REQUIRE(buffer.size() == all.size() - sent.size());
        }
        while (!buffer.empty()) sent += take(buffer, 1'000'000, spare);
        CHECK(sent == all);
    }

    TEST_CASE("what waits behind a large frame is not moved when more is appended") {
        SpareBlocks spare;
        SendBuffer buffer;
        buffer.append_frame(std::string(100'000, 'x'), spare);
        buffer.append_frame(std::string(100'000, 'y'), spare);
        take(buffer, 60'000, spare);
        const auto* const place = static_cast<const char*>(buffer.data().data());
        for (int n = 0; n < 100; ++n) buffer.append_frame(std::string(50'000, 'z'), spare);
        CHECK(buffer.data().data() == place);
        CHECK(buffer.size() == 140'008 + 100 * 50'004);
    }

    TEST_CASE("the memory of large frames serves the next ones and a small frame leaves it alone") {
        SpareBlocks spare;
        SendBuffer buffer;
        const std::string payload(300'000, 'x');
        buffer.append_frame(payload, spare);
        const auto* const memory = buffer.data().data();
        take(buffer, payload.size() + 4, spare);
        CHECK(buffer.empty());
        CHECK(buffer.memory() == 0);
        CHECK(spare.bytes() >= payload.size());
        buffer.append_frame(payload, spare);
        CHECK(buffer.data().data() == memory);
        CHECK(spare.bytes() == 0);
        buffer.clear(spare);
        CHECK(spare.bytes() >= payload.size());
        SendBuffer other;
        other.append_frame("small", spare);
        CHECK(spare.bytes() >= payload.size());
        CHECK(other.memory() <= 100);
    }
}
