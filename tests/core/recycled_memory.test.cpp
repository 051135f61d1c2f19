#include <doctest/doctest.h>

#include <cstddef>
#include <cstring>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include <understudy/base/recycled_memory.hpp>

using namespace understudy;

TEST_SUITE("recycled_memory") {
    TEST_CASE("what was given back last is handed out next to one of about its size") {
        RecycledMemory memory;
        auto* const first = memory.allocate(100);
        auto* const second = memory.allocate(128);
        auto* const other = memory.allocate(200);
        memory.deallocate(first, 100);
        memory.deallocate(second, 128);
        memory.deallocate(other, 200);
        CHECK(memory.allocate(65) == second);
        CHECK(memory.allocate(193) == other);
        CHECK(memory.allocate(120) == first);
        memory.deallocate(second, 65);
        memory.deallocate(other, 193);
        memory.deallocate(first, 120);
    }

    TEST_CASE("large ones go to the heap and no more are kept than allowed") {
        RecycledMemory memory;
        memory.deallocate(memory.allocate(100'000), 100'000);
        constexpr std::size_t size = 64, most = RecycledMemory::most_kept / size;
        std::set<void*> blocks;
        for (std::size_t n = 0; n < 2 * most; ++n) blocks.insert(memory.allocate(size));
        CHECK(blocks.size() == 2 * most);
        std::vector<void*> given{blocks.begin(), blocks.end()};
        for (auto* block : given) memory.deallocate(block, size);
        for (auto kept = most; kept > 0; --kept) {
            auto* const block = memory.allocate(size);
            REQUIRE(block == given[kept - 1]);
            ::operator delete(block);
        }
    }

    TEST_CASE("no two blocks in use overlap whatever comes and goes") {
        std::mt19937 random{3};
        RecycledMemory memory;
        std::vector<std::pair<unsigned char*, std::size_t>> used;
        for (int step = 0; step < 20'000; ++step) {
            if (used.size() < 50 && random() % 2 == 0) {
                const std::size_t bytes = random() % 700;
                auto* const block = static_cast<unsigned char*>(memory.allocate(bytes));
                std::memset(block, static_cast<int>(bytes % 251), bytes);
                used.emplace_back(block, bytes);
            } else if (!used.empty()) {
                std::swap(used[random() % used.size()], used.back());
                const auto [block, bytes] = used.back();
                used.pop_back();
                bool untouched = true;
                for (std::size_t n = 0; n < bytes; ++n) untouched &= block[n] == bytes % 251;
                REQUIRE(untouched);
                memory.deallocate(block, bytes);
            }
        }
        for (const auto& [block, bytes] : used) memory.deallocate(block, bytes);
    }
}
