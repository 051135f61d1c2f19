// The bytes of a journal's files, which programs of all later versions must be able to read.
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <understudy/journal/frame.hpp>
#include <understudy/journal/segment_name.hpp>

TEST_SUITE("frame format") {
    using namespace understudy::journal;

    namespace {
    std::string hex(std::string_view bytes) {
        std::string text;
        for (const char byte : bytes) text += hexadecimal(static_cast<unsigned char>(byte), 2);
        return text;
    }
    std::string framed(std::string_view payload, std::uint64_t salt = 0x1122334455667788, std::uint64_t offset = 64) {
        std::string out;
        append_frame(out, {FrameKind::entry, 0, 0x0102030405060708, 0x0102030405060707, 0}, payload, salt, offset);
        return out;
    }
    }  // namespace

    TEST_CASE("a segment's header has these bytes") {
        CHECK(hex(encode(SegmentHeader{0x1122334455667788, 0x21, 0x0102030405060708})) ==
              "756e6465727374756479206c6f670a00"  // understudy log
              "0100000000000000887766554433221121000000000000000807060504030201"
              "000000000000000000000000f6f8012c");
    }

    TEST_CASE("a frame has these bytes") {
        CHECK(hex(framed("hello")) ==
              "656e7472050000000807060504030201"
              "070706050403020195c8dc2066384ca1"
              "68656c6c6f2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e");
    }

    TEST_CASE("frames take multiples of 32 bytes") {
        for (const std::size_t size : {0u, 1u, 31u, 32u, 33u, 64u, 1000u}) {
            CAPTURE(size);
            const auto frame = framed(std::string(size, 'x'));
            CHECK(frame.size() == frame_bytes(size));
            CHECK(frame.size() % 32 == 0);
            CHECK(frame.size() >= 32 + size);
            CHECK(frame.size() < 64 + size);
        }
    }

    TEST_CASE("a header is read as it was written") {
        const auto header = decode_frame_header(framed("hello"), 0x1122334455667788, 64);
        REQUIRE(header.has_value());
        CHECK(header->kind == FrameKind::entry);
        CHECK(header->length == 5);
        CHECK(header->number == 0x0102030405060708);
        CHECK(header->synced == 0x0102030405060707);
    }

    TEST_CASE("a header is none at another offset or in a segment with another salt") {
        CHECK_FALSE(decode_frame_header(framed("hello"), 0x1122334455667788, 96));
        CHECK_FALSE(decode_frame_header(framed("hello"), 0x1122334455667789, 64));
    }

    TEST_CASE("a header with any bit turned is none") {
        auto frame = framed("hello");
        for (std::size_t bit = 0; bit < frame_header_bytes * 8; ++bit) {
            frame[bit / 8] = static_cast<char>(frame[bit / 8] ^ (1 << bit % 8));
            REQUIRE_FALSE(decode_frame_header(frame, 0x1122334455667788, 64));
            frame[bit / 8] = static_cast<char>(frame[bit / 8] ^ (1 << bit % 8));
        }
    }

    TEST_CASE("the names of segments sort as their numbers do and are read back") {
        CHECK(segment_name("log", 0x1a) == "log-000000000000001a.log");
        CHECK(segment_name("log", 0x9) < segment_name("log", 0x10));
        CHECK(segment_number("log", "log-000000000000001a.log") == 0x1a);
        CHECK(segment_number("log", "log-ffffffffffffffff.log") == ~std::uint64_t{0});
    }

    TEST_CASE("names that are not those of segments are not read") {
        for (const auto* name : {"log", "lock", "log-1a.log", "log-000000000000001A.log", "lag-000000000000001a.log",
                                 "log-000000000000001a.log.new", "log_000000000000001a.log", "log-000000000000001a.lag",
                                 "log-00000000000000001a.log", "logs-000000000000001a.log"}) {
            CAPTURE(name);
            CHECK_FALSE(segment_number("log", name));
        }
        CHECK(is_unfinished_segment("log", "log-000000000000001a.log.new"));
        CHECK_FALSE(is_unfinished_segment("log", "log-000000000000001a.log"));
        CHECK_FALSE(is_unfinished_segment("log", "snapshot.new"));
    }
}
