#include <doctest/doctest.h>

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <understudy/base/recycling_allocator.hpp>

using namespace understudy;

TEST_SUITE("recycling_allocator") {
    using Map = std::map<int, std::string, std::less<>, RecyclingAllocator<std::pair<const int, std::string>>>;

    TEST_CASE("what was given back last is handed out next") {
        RecyclingAllocator<int> allocator;
        auto* first = allocator.allocate(1);
        auto* second = allocator.allocate(1);
        allocator.deallocate(first, 1);
        allocator.deallocate(second, 1);
        CHECK(allocator.allocate(1) == second);
        CHECK(allocator.allocate(1) == first);
        allocator.deallocate(first, 1);
        allocator.deallocate(second, 1);
    }

    TEST_CASE("arrays go to the heap and no more nodes are kept than allowed") {
        RecyclingAllocator<long, 2> allocator;
        allocator.deallocate(allocator.allocate(100), 100);
        std::vector<long*> nodes;
        for (int i = 0; i < 5; ++i) nodes.push_back(allocator.allocate(1));
        for (auto* node : nodes) allocator.deallocate(node, 1);
        CHECK(allocator.allocate(1) == nodes[1]);
        CHECK(allocator.allocate(1) == nodes[0]);
        allocator.deallocate(nodes[1], 1);
        allocator.deallocate(nodes[0], 1);
    }

    TEST_CASE("containers that are copied moved and swapped stay what they are") {
        Map map;
        for (int i = 0; i < 100; ++i) map[i] = std::string(40, 'x');
        for (int i = 0; i < 50; ++i) map.erase(i);
        Map copy = map, moved = std::move(map);
        CHECK(copy == moved);
        map = copy;
        std::swap(map, moved);
        moved.clear();
        for (int i = 0; i < 200; ++i) moved[i] = "y";
        CHECK(map == copy);
        CHECK(moved.size() == 200);
        auto node = map.extract(60);
        moved.erase(60);
        moved.insert(std::move(node));
        CHECK(moved.at(60) == std::string(40, 'x'));
    }
}
