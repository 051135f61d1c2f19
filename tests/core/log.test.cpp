// The log against a simple model: a list of entries. Also what it shares with copies and with runs of entries.
#include <doctest/doctest.h>

#include <cstddef>
#include <deque>
#include <iterator>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <understudy/replica/log.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::replica;

TEST_SUITE("log") {
    namespace {

    /// Applies the same operations to a log and to its model.
    struct Pair {
        Log log;
        Position base{};
        std::deque<Entry> entries;
        ViewNumber view = 1;

        Position last() const { return entries.empty() ? base : entries.back().at; }
        void append(std::size_t bytes) {
            const auto index = last().index + 1;
            const Entry entry{{view, index},
                              index % 50 == 0 ? EntryKind::close : EntryKind::command,
                              {1, 1},
                              index,
                              1,
                              std::string(bytes, static_cast<char>('a' + (index + view) % 26))};
            entries.push_back(entry);
            log.append(entry);
        }
        void truncate(Index from) {
            Index removed = 0;
            for (; !entries.empty() && last().index >= from; ++removed) entries.pop_back();
            REQUIRE(log.truncate(from) == removed);
            ++view;
        }
        void trim(Index through) {
            for (; !entries.empty() && entries.front().at.index <= through; entries.pop_front())
                base = entries.front().at;
            log.trim(through);
        }
        void reset(Position to) {
            entries.clear();
            base = to;
            log.reset(to);
        }
        /// The entries after `after`, up to and including `through`.
        std::vector<Entry> run(Index after, Index through) const {
            const auto place = [&](Index index) {
                return entries.begin() + static_cast<std::ptrdiff_t>(index - base.index);
            };
            return {place(after), place(through)};
        }
    };

    std::size_t bytes_of(const std::vector<Entry>& entries) {
        std::size_t bytes = 0;
        for (const auto& entry : entries) bytes += Log::size_of(entry);
        return bytes;
    }

    void check_run(const SharedEntries& run, const std::vector<Entry>& model) {
        REQUIRE(run.size() == model.size());
        std::size_t n = 0;
        for (const auto& entry : run) REQUIRE(entry == EntryView(model[n++]));
        REQUIRE(n == model.size());
    }

    void check_same(const Pair& pair) {
        const auto& [log, base, entries, view] = pair;
        REQUIRE(log.base() == base);
        REQUIRE(log.last() == pair.last());
        REQUIRE(log.bytes() == bytes_of(pair.run(base.index, pair.last().index)));
        check_run(log.share(base.index, log.last().index), pair.run(base.index, pair.last().index));
        for (const auto& entry : entries) {
            REQUIRE(log[entry.at.index] == EntryView(entry));
            REQUIRE(log.has(entry.at));
            REQUIRE_FALSE(log.has({entry.at.view + 1, entry.at.index}));
        }
        REQUIRE(log.has(base));
        REQUIRE_FALSE(log.position(log.last().index + 1));
        if (base.index > 0) REQUIRE_FALSE(log.position(base.index - 1));
    }

    }  // namespace

    TEST_CASE("any history leaves what a list would hold and copies and runs stay as they were taken") {
        for (unsigned seed = 1; seed <= 8; ++seed) {
            CAPTURE(seed);
            std::mt19937 random{seed};
            const auto below = [&](std::size_t limit) { return std::size_t{random()} % limit; };
            const auto step = [&](Pair& pair) {
                const auto held = pair.entries.size();
                switch (below(40)) {
                    case 0: return pair.reset({pair.view, pair.last().index + below(3)});
                    case 1:
                    case 2:
                    case 3: return pair.truncate(pair.base.index + 1 + held - below(held + 1) / (1 + below(50)));
                    case 4:
                    case 5:
                    case 6: return pair.trim(pair.base.index + below(held + 2) / (1 + below(4)));
                    case 7: return pair.append(below(seed % 2 == 0 ? 200'000 : 20'000));
                    default: return pair.append(below(300));
                }
            };
            Pair pair;
            std::vector<Pair> copies;
            std::vector<std::pair<SharedEntries, std::vector<Entry>>> runs;
            for (int n = 0; n < 4'000; ++n) {
                step(pair);
                if (!copies.empty() && below(3) == 0) step(copies[below(copies.size())]);
                if (below(200) == 0) copies.push_back(pair);
                if (copies.size() > 4) copies.erase(copies.begin());
                const auto after = pair.base.index + below(pair.entries.size() + 1);
                const auto through = after + below(pair.last().index - after + 1);
                REQUIRE(pair.log.bytes(after, through) == bytes_of(pair.run(after, through)));
                if (below(20) == 0) runs.emplace_back(pair.log.share(after, through), pair.run(after, through));
                if (runs.size() > 20) runs.erase(runs.begin());
                if (n % 200 != 0) continue;
                check_same(pair);
                for (const auto& copy : copies) check_same(copy);
                for (const auto& [run, model] : runs) check_run(run, model);
            }
        }
    }

    TEST_CASE("logs are equal if their entries are however these came into them") {
        Pair one, other;
        for (auto* pair : {&one, &other}) {
            for (int n = 0; n < 1'000; ++n) pair->append(100);
            pair->trim(300);
        }
        CHECK(one.log == other.log);
        auto copy = one;
        CHECK(copy.log == one.log);
        copy.append(1);
        CHECK_FALSE(copy.log == one.log);
        copy.log.truncate(1'001);
        CHECK(copy.log == one.log);
        one.log.append({{1, 1'001}, EntryKind::command, {1, 1}, 0, 0, "x"});
        copy.log.append({{1, 1'001}, EntryKind::command, {1, 1}, 0, 0, "y"});
        CHECK_FALSE(copy.log == one.log);
        other.trim(301);
        CHECK_FALSE(other.log == one.log);
    }

    TEST_CASE("entries of which the log drops all stay for whoever shares them") {
        Pair pair;
        for (int n = 0; n < 2'000; ++n) pair.append(100);
        const auto run = pair.log.share(500, 1'500);
        const auto model = pair.run(500, 1'500);
        const auto copy = run;
        pair.view = 2;
        pair.reset({2, 3'000});
        pair.append(5);
        check_run(run, model);
        check_run(copy, model);
        CHECK(pair.log.share(3'000, 3'000).empty());
        CHECK(SharedEntries{}.begin() == SharedEntries{}.end());
    }

    TEST_CASE("there is no count of bytes beyond the last entry") {
        Log log;
        log.append({{1, 1}, EntryKind::command, {1, 1}, 1, 1, "12345"});
        CHECK(log.end_of(1) == Log::size_of(5));
        const auto before = set_check_handler([](const char*, const char*, int) { throw 1; });
        CHECK_THROWS_AS(log.end_of(2), int);
        set_check_handler(before);
    }

    TEST_CASE("a block has the room that it was made with and shrinks to any of its entries") {
        const auto size = EntryBlock::size_of(100);
        auto block = EntryBlock::make(3 * size);
        const Entry entry{{1, 1}, EntryKind::command, {}, 0, 0, std::string(100, 'x')};
        for (std::size_t n = 1; n <= 3; ++n) {
            REQUIRE(block->has_room(size));
            block->append(entry, {}, n);
            CHECK(block->bytes() == n * size);
        }
        CHECK_FALSE(block->has_room(1));
        block->shrink(1);
        CHECK(block->has_room(2 * size));
        CHECK_FALSE(block->has_room(2 * size + 1));
        CHECK((*block)[0] == EntryView(entry));
        block->shrink(0);
        CHECK(block->bytes() == 0);
        CHECK(block->has_room(3 * size));
    }

    TEST_CASE("a run to which entries are added does not take in those that its block has besides") {
        Log log;
        for (Index n = 1; n <= 3; ++n) log.append({{1, n}, EntryKind::command, {1, 1}, n, 1, "12345"});
        auto run = log.share(0, 2);
        log.reset({1, 3});  // from now on the run alone owns the block
        const Entry added{{2, 3}, EntryKind::command, {1, 1}, 4, 1, "another"};
        run.push_back(added);
        REQUIRE(run.size() == 3);
        CHECK(Entry(*std::next(run.begin(), 2)) == added);
    }

    TEST_CASE("a run of entries that was moved from is empty") {
        SharedEntries run{Entry{{1, 1}, EntryKind::command, {}, 0, 0, "x"}};
        const auto moved = std::move(run);
        CHECK(moved.size() == 1);
        CHECK(run.empty());
        CHECK(run.begin() == run.end());
        run.push_back(moved.back());
        CHECK(run == moved);
    }
}
