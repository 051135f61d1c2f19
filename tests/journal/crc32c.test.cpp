// The checksum: published values, and equal results from the tables and from the processor's instruction.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <understudy/journal/crc32c.hpp>
#include <understudy/sim/world/random.hpp>

using namespace understudy;
using journal::crc32c;

TEST_SUITE("crc32c") {
    namespace {
    std::string counting_up(std::size_t size) {
        std::string bytes(size, '\0');
        for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i);
        return bytes;
    }
    std::uint32_t by_tables(std::string_view bytes) { return ~journal::detail::crc32c_by_tables(~0u, bytes); }
    }  // namespace

    TEST_CASE("the checksums are those of RFC 3720 B.4") {
        CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AA);
        CHECK(crc32c(std::string(32, '\xFF')) == 0x62A8AB43);
        auto bytes = counting_up(32);
        CHECK(crc32c(bytes) == 0x46DD794E);
        std::reverse(bytes.begin(), bytes.end());
        CHECK(crc32c(bytes) == 0x113FDB5C);
        constexpr unsigned char read_command[] = {
            0x01, 0xc0, 0, 0, 0, 0, 0,    0, 0, 0, 0, 0, 0, 0, 0,    0, 0x14, 0, 0, 0, 0, 0, 0x04, 0,
            0,    0,    0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0};
        CHECK(crc32c({reinterpret_cast<const char*>(read_command), sizeof read_command}) == 0xD9963A56);
    }

    TEST_CASE("the checksums of nothing and of the nine digits are known") {
        CHECK(crc32c("") == 0);
        CHECK(crc32c("123456789") == 0xE3069283);
    }

    TEST_CASE("a checksum that is continued is that of both parts") {
        const auto bytes = counting_up(100);
        const std::string_view all{bytes};
        for (std::size_t cut = 0; cut <= all.size(); ++cut)
            REQUIRE(crc32c(all.substr(cut), crc32c(all.substr(0, cut))) == crc32c(all));
    }

    TEST_CASE("tables and the instruction agree at every length and alignment") {
        sim::Random random{1};
        std::string bytes(600, '\0');
        for (auto& byte : bytes) byte = static_cast<char>(random.below(256));
        for (std::size_t start = 0; start < 16; ++start)
            for (std::size_t size = 0; size <= 512; ++size) {
                const auto part = std::string_view{bytes}.substr(start, size);
                REQUIRE(crc32c(part) == by_tables(part));
            }
    }
}
