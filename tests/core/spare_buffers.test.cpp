#include <doctest/doctest.h>

#include <string>
#include <utility>

#include <understudy/base/spare_buffers.hpp>

using namespace understudy;

TEST_SUITE("spare_buffers") {
    namespace {
    constexpr std::size_t kib = 1024;
    std::string text(std::size_t bytes) { return std::string(bytes, 'x'); }
    }  // namespace

    TEST_CASE("the smallest buffer that is large enough is taken and none that is far too large") {
        SpareBuffers<std::string> spare;
        CHECK(spare.take(100 * kib).capacity() < kib);
        for (const std::size_t size : {1000u, 200u, 400u}) spare.give(text(size * kib));
        CHECK(heap_bytes(spare.take(150 * kib)) < 300 * kib);
        CHECK(heap_bytes(spare.take(150 * kib)) < 500 * kib);
        CHECK(heap_bytes(spare.take(150 * kib, 2)) < kib);
        CHECK(heap_bytes(spare.take(100 * kib)) < kib);
        CHECK(heap_bytes(spare.take(150 * kib)) >= 1000 * kib);
        CHECK(spare.bytes() == 0);
    }

    TEST_CASE("no more bytes are kept than allowed and small buffers not at all") {
        SpareBuffers<std::string> spare{kib * kib};
        spare.give(text(10 * kib));
        CHECK(spare.bytes() == 0);
        for (int i = 0; i < 100; ++i) spare.give(text(100 * kib));
        CHECK(spare.bytes() <= kib * kib);
        CHECK(spare.bytes() > kib * kib / 2);
        spare.give(text(2 * kib * kib));
        CHECK(spare.bytes() <= kib * kib);
    }

    TEST_CASE("what is not needed between two calls of age is freed") {
        SpareBuffers<std::string> spare;
        for (int i = 0; i < 4; ++i) spare.give(text(100 * kib));
        spare.age();
        CHECK(spare.bytes() >= 400 * kib);  // it has come since the last call
        for (int i = 0; i < 3; ++i) {
            auto one = spare.take(100 * kib), two = spare.take(100 * kib);
            spare.give(std::move(one));
            spare.give(std::move(two));
            spare.age();
            CHECK(spare.bytes() >= 200 * kib);
            CHECK(spare.bytes() < 300 * kib);
        }
        spare.age();
        CHECK(spare.bytes() == 0);
    }

    TEST_CASE("a copy starts without spare buffers and a moved one takes them along") {
        SpareBuffers<std::string> spare;
        spare.give(text(100 * kib));
        const auto copy = spare;
        CHECK(copy.bytes() == 0);
        auto moved = std::move(spare);
        CHECK(moved.bytes() >= 100 * kib);
        spare = copy;
        spare = std::move(moved);
        CHECK(heap_bytes(spare.take(100 * kib)) >= 100 * kib);
    }
}
