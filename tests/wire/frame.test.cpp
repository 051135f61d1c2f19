// Frames: however the bytes are split, the same payloads are decoded; invalid frames end with an error text.
#include <functional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <understudy/wire/frame.hpp>
#include <understudy/wire/json.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::wire;

TEST_SUITE("frame") {
    namespace {
    std::vector<std::string> drain(FrameDecoder& decoder) {
        std::vector<std::string> payloads;
        while (auto payload = decoder.next()) payloads.emplace_back(*payload);
        return payloads;
    }
    void append_all(std::vector<std::string>& to, const std::vector<std::string>& more) {
        to.insert(to.end(), more.begin(), more.end());
    }
    std::string stream_of(const std::vector<std::string>& payloads) {
        std::string out;
        for (const auto& payload : payloads) append_frame(out, payload);
        return out;
    }
    }  // namespace

    TEST_CASE("the length is four bytes with the highest first") {
        std::string out = "before";
        append_frame(out, "{" + std::string(0x10203 - 1, ' '));
        CHECK(out.substr(6, 5) == std::string{"\0\x01\x02\x03{", 5});
        CHECK(out.size() == 6 + 4 + 0x10203);
    }

    TEST_CASE("frames that are split at every byte come out whole") {
        const std::vector<std::string> payloads{"{}", "[1]", "{\"a\":\"\xC3\xA9\"}", "{" + std::string(300, 'x') + "}",
                                                "[]"};
        const auto stream = stream_of(payloads);
        for (std::size_t first = 0; first <= stream.size(); ++first)
            for (std::size_t second : {first, first + 1, first + 5, stream.size()}) {
                second = std::min(second, stream.size());
                FrameDecoder decoder{1024};
                std::vector<std::string> out;
                decoder.feed(std::string_view{stream}.substr(0, first));
                append_all(out, drain(decoder));
                decoder.feed(std::string_view{stream}.substr(first, second - first));
                append_all(out, drain(decoder));
                decoder.feed(std::string_view{stream}.substr(second));
                append_all(out, drain(decoder));
                REQUIRE(out == payloads);
                REQUIRE(decoder.pending() == 0);
            }
    }

    TEST_CASE("frames that come byte by byte come out whole") {
        const std::vector<std::string> payloads{"{}", "[[]]", "{" + std::string(1000, ' ') + "}"};
        FrameDecoder decoder{2000};
        std::vector<std::string> out;
        for (const char byte : stream_of(payloads)) {
            decoder.feed({&byte, 1});
            append_all(out, drain(decoder));
        }
        CHECK(out == payloads);
    }

    TEST_CASE("one read gives many frames and the buffer is used again") {
        const std::vector<std::string> payloads(500, "{" + std::string(98, ' ') + "}");
        const auto stream = stream_of(payloads);
        FrameDecoder decoder{1000};
        std::size_t largest = 0;
        for (int round = 0; round < 100; ++round) {
            const auto room = decoder.prepare(stream.size());
            std::copy(stream.begin(), stream.end(), room.begin());
            decoder.commit(stream.size());
            CHECK(drain(decoder).size() == 500);
            if (round == 0) largest = decoder.capacity();
            CHECK(decoder.capacity() == largest);
        }
    }

    TEST_CASE("a large frame that comes in small reads is moved a bounded number of times") {
        // If each read moved the bytes, this would copy 8 GiB. The exact check is that the buffer doubles; the test's
        // time limit is the last resort.
        const std::string payload = "{" + std::string((4u << 20) - 2, ' ') + "}";
        const auto stream = stream_of({"{}", payload});
        FrameDecoder decoder{8u << 20};
        std::size_t moves = 0, capacity = 0;
        std::vector<std::string> out;
        for (std::size_t at = 0; at < stream.size(); at += 1024) {
            decoder.feed(std::string_view{stream}.substr(at, 1024));
            append_all(out, drain(decoder));
            moves += decoder.capacity() != capacity;
            capacity = decoder.capacity();
        }
        REQUIRE(out.size() == 2);
        CHECK(out[1] == payload);
        CHECK(moves < 20);
        CHECK(capacity <= 2 * stream.size());
        decoder.prepare(1024);
        CHECK(decoder.capacity() == 1024);  // the memory for one large frame is released
    }

    TEST_CASE("a backlog that is taken one frame at a time is not moved for each") {
        FrameDecoder decoder{100};
        const auto frame = stream_of({"{}"});
        decoder.feed(frame);
        while (decoder.capacity() < 100'000 || decoder.pending() + 60 < decoder.capacity()) decoder.feed(frame);
        const char* before = nullptr;
        int moves = 0;
        for (int round = 0; round < 5'000; ++round) {
            decoder.feed(frame);
            const auto payload = decoder.next();
            REQUIRE(payload);
            moves += std::less<>{}(payload->data(), before) || payload->data() > before + 100;
            before = payload->data();
        }
        CHECK(moves <= 3);
    }

    TEST_CASE("a large frame is received in the memory of the one before and is not copied out of it") {
        const auto stream = stream_of({"{" + std::string(300'000, ' ') + "}"});
        FrameRoom shared{100'000};
        SpareRooms spare;
        FrameDecoder decoder{1u << 20};
        int frames = 0;
        const auto receive = [&](std::size_t from, std::size_t to) {
            while (from < to) {
                decoder.borrow(shared, spare);
                const auto room = decoder.prepare(std::min(decoder.appetite(100'000), to - from), &spare);
                std::copy_n(stream.begin() + static_cast<std::ptrdiff_t>(from), room.size(), room.begin());
                decoder.commit(room.size());
                from += room.size();
                if (const auto payload = decoder.next()) {
                    CHECK(*payload == std::string_view{stream}.substr(4));
                    ++frames;
                }
                decoder.give_back(shared, spare);
                REQUIRE(shared.memory);
            }
        };
        receive(0, stream.size());
        REQUIRE(spare.bytes() >= stream.size());
        for (int round = 0; round < 3; ++round) {
            receive(0, 200'000);
            const auto memory = decoder.capacity();
            CHECK(memory >= stream.size());
            receive(200'000, stream.size() - 1);
            CHECK(decoder.capacity() == memory);
            receive(stream.size() - 1, stream.size());
            CHECK(decoder.capacity() == 0);
        }
        CHECK(frames == 4);
        receive(0, 10'000);  // too little of it for so much memory
        CHECK(decoder.capacity() == 10'000);
    }

    TEST_CASE("a length above the limit is refused before memory is reserved and the text names both") {
        FrameDecoder decoder{16u << 20};
        decoder.feed(std::string_view{"\xFF\xFF\xFF\xFF", 4});
        CHECK(!decoder.next());
        REQUIRE(decoder.failed());
        CHECK(decoder.code() == error::too_large);
        CHECK(decoder.what() == "a frame of 4294967295 bytes exceeds the limit of 16777216 bytes");
        CHECK(decoder.capacity() == 4);
    }

    TEST_CASE("a length at the limit reserves only what comes") {
        FrameDecoder decoder{0xFFFFFFFF};
        decoder.feed(std::string_view{"\xFF\xFF\xFF\xFF{", 5});
        CHECK(!decoder.next());
        CHECK(!decoder.failed());
        CHECK(decoder.capacity() <= 16);
    }

    TEST_CASE("the largest frame passes and one byte more does not") {
        FrameDecoder decoder{10};
        decoder.feed(stream_of({"[12345678]"}));
        CHECK(drain(decoder) == std::vector<std::string>{"[12345678]"});
        decoder.feed(stream_of({"[123456789]"}));
        CHECK(!decoder.next());
        CHECK(decoder.code() == error::too_large);
    }

    TEST_CASE("garbage is refused at its first byte") {
        FrameDecoder decoder{1000};
        decoder.feed(std::string_view{"\0\0\0\x64", 4});
        CHECK(!decoder.next());
        CHECK(!decoder.failed());
        decoder.feed("x");
        CHECK(!decoder.next());
        CHECK(decoder.code() == error::parse_error);
        CHECK(decoder.what() == "a payload starts with byte 120, not with { or [");
        FrameDecoder other{0x50000000};
        other.feed("GET / HTTP/1.1\r\n");
        CHECK(!other.next());
        CHECK(other.failed());
    }

    TEST_CASE("an empty frame is refused") {
        FrameDecoder decoder{1000};
        decoder.feed(std::string_view{"\0\0\0\0", 4});
        CHECK(!decoder.next());
        CHECK(decoder.what() == "an empty frame");
    }

    TEST_CASE("frames before a broken one come out and none after it") {
        FrameDecoder decoder{1000};
        decoder.feed(stream_of({"{}", "x", "{}"}));
        CHECK(drain(decoder) == std::vector<std::string>{"{}"});
        CHECK(decoder.failed());
        decoder.feed(stream_of({"{}"}));
        CHECK(!decoder.next());
    }

    TEST_CASE("the error before a close is a message that a peer can read") {
        FrameDecoder decoder{100};
        decoder.feed("\x7F\x7F\x7F\x7F");
        CHECK(!decoder.next());
        const auto decoded = decode(connection_error(decoder.code(), decoder.what()));
        REQUIRE(std::holds_alternative<Decoded>(decoded));
        const auto& failure = std::get<Failure>(std::get<Decoded>(decoded).message);
        CHECK(failure.code == error::too_large);
        CHECK(failure.text == decoder.what());
        CHECK(std::get<Decoded>(decoded).id.empty());
        // the encoder of messages writes the same
        CHECK(encode("", failure) == connection_error(decoder.code(), decoder.what()));
    }
}
