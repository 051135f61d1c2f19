#include <doctest/doctest.h>

#include <string>
#include <utility>

#include <understudy/base/text_buffers.hpp>

using namespace understudy;

TEST_SUITE("text_buffers") {
    TEST_CASE("the memory of a text serves the next one") {
        TextBuffers buffers;
        CHECK(buffers.take().empty());
        std::string text(1000, 'x');
        const auto* memory = text.data();
        buffers.give(std::move(text));
        CHECK(buffers.bytes() >= 1000);
        auto next = buffers.take();
        CHECK(next.empty());
        CHECK(next.data() == memory);
        CHECK(buffers.bytes() == 0);
    }

    TEST_CASE("no more is kept than allowed and short texts not at all") {
        TextBuffers buffers;
        buffers.give("short");
        CHECK(buffers.bytes() == 0);
        for (int i = 0; i < 1000; ++i) buffers.give(std::string(2'000, 'x'));
        CHECK(buffers.bytes() <= TextBuffers::most_kept);
        CHECK(buffers.bytes() > TextBuffers::most_kept / 2);
        while (buffers.bytes() > 0) CHECK(buffers.take().capacity() >= 2'000);
        buffers.give(std::string(TextBuffers::longest + 1, 'x'));
        CHECK(buffers.bytes() == 0);
    }

    TEST_CASE("a copy starts without any and a moved one takes them along") {
        TextBuffers buffers;
        buffers.give(std::string(1000, 'x'));
        const auto copy = buffers;
        CHECK(copy.bytes() == 0);
        CHECK(copy == buffers);
        auto moved = std::move(buffers);
        CHECK(moved.bytes() >= 1000);
        CHECK(moved.take().capacity() >= 1000);
    }
}
