// The end of a log while a journal is read: it must behave as the log itself would.
#include <doctest/doctest.h>

#include <cstddef>
#include <random>
#include <string>
#include <utility>

#include <understudy/replica/log_tail.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::replica;

TEST_SUITE("log_tail") {
    namespace {

    constexpr std::size_t keep = 200'000;

    /// Applies the same operations to both.
    struct Pair {
        LogTail tail;
        Log log;
        ViewNumber view = 1;

        void append(std::size_t bytes) {
            const auto index = log.last().index + 1;
            const Entry entry{{view, index}, EntryKind::command, {1, 1}, index, 1,
                              std::string(bytes, static_cast<char>('a' + index % 26))};
            tail.append(entry);
            log.append(Entry{entry});
        }
        void truncate(Index from) {
            tail.truncate(from);
            log.truncate(from);
        }
        void reset(Position base) {
            tail.reset(base);
            log.reset(base);
        }
    };

    void check_equal(const Log& held, const Log& all) {
        REQUIRE(held.last() == all.last());
        for (auto index = held.first(); index <= held.last().index; ++index) REQUIRE(held[index] == all[index]);
    }

    }  // namespace

    TEST_CASE("a tail holds what a log holds after appends and cuts of all sizes") {
        std::mt19937 random{7};
        const auto below = [&](std::size_t limit) { return std::size_t{random()} % limit; };
        Pair pair;
        pair.reset({1, 10});
        for (int step = 0; step < 3'000; ++step) {
            switch (below(10)) {
                case 0:
                    pair.truncate(pair.log.first() + below(pair.log.last().index - pair.log.base().index + 1));
                    ++pair.view;
                    break;
                case 1: pair.append(below(200'000)); break;
                default: pair.append(below(300)); break;
            }
            CHECK(pair.tail.last() == pair.log.last());
            const Position somewhere{1 + below(pair.view), 9 + below(pair.log.last().index)};
            CHECK(pair.tail.has(somewhere) == pair.log.has(somewhere));
        }
        CHECK(pair.tail.has({1, 10}));
        check_equal(std::move(pair.tail).release(), pair.log);
    }

    TEST_CASE("entries are visited in their order from anywhere and no further than wanted") {
        Pair pair;
        for (int n = 0; n < 5'000; ++n) pair.append(static_cast<std::size_t>(n % 50));
        const std::pair<Index, Index> ranges[] = {{0, 0}, {0, 1}, {0, 5'000}, {700, 4'100}, {4'999, 5'000}};
        for (const auto& [from, through] : ranges) {
            auto next = from;
            pair.tail.for_each(from, through, [&](const EntryView& entry) {
                CHECK(Entry(entry) == pair.log[++next]);
                return true;
            });
            CHECK(next == through);
        }
        int visited = 0;
        pair.tail.for_each(0, 5'000, [&](const EntryView&) { return ++visited < 3; });
        CHECK(visited == 3);
    }

    TEST_CASE("what is trimmed was applied and enough of that stays") {
        Pair pair;
        for (int n = 0; n < 20'000; ++n) {
            pair.append(100);
            const auto applied = pair.log.last().index / 2;
            pair.tail.trim(keep, applied);
            REQUIRE(pair.tail.base().index <= applied);
            const auto kept = pair.log.bytes(pair.tail.base().index, applied);
            REQUIRE(kept >= (pair.tail.base().index == 0 ? 0 : keep));
            REQUIRE(kept < keep + 300'000);  // two blocks
        }
        CHECK(pair.tail.base() == *pair.log.position(pair.tail.base().index));
        check_equal(std::move(pair.tail).release(), pair.log);
    }

    TEST_CASE("a tail of which everything is trimmed goes on where it ended") {
        Pair pair;
        pair.append(10);
        pair.tail.trim(0, 1);
        CHECK(pair.tail.base() == Position{1, 1});
        CHECK(pair.tail.last() == Position{1, 1});
        CHECK(pair.tail.has({1, 1}));
        pair.append(20);
        CHECK(pair.tail.has({1, 2}));
        check_equal(std::move(pair.tail).release(), pair.log);
    }
}
