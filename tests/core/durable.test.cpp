// S9: which entries count as stable while batches of an older log are still on their way to the disk.
#include <doctest/doctest.h>

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>

#include <understudy/replica/durable.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::replica;

TEST_SUITE("durable") {
    namespace {

    /// A log, the batches taken from it, and a disk that stores the batches later.
    struct Keeper {
        Log log;
        Durable durable;
        std::map<Index, Position> disk;  // the entries that a restart would find
        struct Given {
            JournalBatch batch;
            std::map<Index, Position> entries;
        };
        std::map<std::uint64_t, Given> on_the_way;

        Keeper() { durable.use_journal(0); }
        void append(ViewNumber view, int count = 1) {
            for (; count > 0; --count) log.append({{view, log.last().index + 1}, EntryKind::command, {}, 0, 0, "x"});
        }
        void truncate(Index from) {
            durable.truncate(from);
            log.truncate(from);
        }
        void install(Position at) {
            durable.add({at, 0, "state", true, true});
            durable.reset(at.index);
            log.reset(at);
        }
        std::uint64_t give_out() {
            auto batch = durable.take(log, 0);
            REQUIRE(batch);
            Given given{*batch, {}};
            for (auto index = batch->prev.index + 1; index <= batch->through; ++index)
                given.entries[index] = *log.position(index);
            on_the_way.emplace(batch->number, std::move(given));
            return batch->number;
        }
        /// Makes all batches up to this one stable.
        void persist(std::uint64_t number) {
            for (; !on_the_way.empty() && on_the_way.begin()->first <= number; on_the_way.erase(on_the_way.begin())) {
                const auto& [batch, entries] = on_the_way.begin()->second;
                for (const auto& piece : batch.pieces) disk = {{piece.at.index, piece.at}};
                disk.erase(disk.upper_bound(batch.prev.index), disk.end());
                disk.insert(entries.begin(), entries.end());
            }
            durable.persisted(number);
        }
        Index held() const { return durable.stable(log); }
        /// Whether a restart would find every entry that counts as stable.
        bool is_honest() const {
            if (held() > log.last().index) return false;
            for (auto index = std::max<Index>(log.base().index, 1); index <= held(); ++index)
                if (const auto found = disk.find(index); found == disk.end() || found->second != log.position(index))
                    return false;
            return true;
        }
    };

    }  // namespace

    TEST_CASE("S9: a batch that is stored after its entries were cut does not count for those that took their place") {
        Keeper keeper;
        keeper.append(1, 3);
        const auto older = keeper.give_out();
        keeper.truncate(2);
        keeper.append(2, 3);
        const auto newer = keeper.give_out();
        keeper.persist(older);
        CHECK(keeper.held() == 1);
        keeper.persist(newer);
        CHECK(keeper.held() == 4);
    }

    TEST_CASE("S9: a batch that is stored after a snapshot replaced its entries does not count for that snapshot") {
        Keeper keeper;
        keeper.append(1, 3);
        const auto older = keeper.give_out();
        keeper.install({2, 2});
        keeper.append(2, 2);
        const auto newer = keeper.give_out();
        keeper.persist(older);
        CHECK(keeper.held() == 0);
        keeper.persist(newer);
        CHECK(keeper.held() == 4);
    }

    TEST_CASE("S9: whatever is cut or replaced meanwhile only what a restart would find counts as held") {
        std::uint64_t held = 0;
        for (std::uint32_t seed = 1; seed <= 2000; ++seed) {
            CAPTURE(seed);
            std::mt19937 random{seed};
            const auto below = [&](std::uint64_t bound) { return std::uint64_t{random()} % bound; };
            Keeper keeper;
            ViewNumber view = 1;
            for (int step = 0; step < 40; ++step) {
                const auto base = keeper.log.base().index, last = keeper.log.last().index;
                switch (below(8)) {
                    case 0: keeper.truncate(base + 1 + below(last - base + 1)), ++view; break;
                    case 1:
                        if (below(3) == 0) keeper.install({view, below(last + 3)}), ++view;
                        break;
                    case 2:
                    case 3:
                        if (keeper.durable.waits(keeper.log)) keeper.give_out();
                        break;
                    case 4:
                    case 5:
                        if (!keeper.on_the_way.empty())
                            keeper.persist(keeper.on_the_way.begin()->first + below(keeper.on_the_way.size()));
                        break;
                    default: keeper.append(view, static_cast<int>(1 + below(3))); break;
                }
                REQUIRE(keeper.is_honest());
                held += keeper.held();
            }
            while (keeper.durable.waits(keeper.log)) keeper.give_out();
            if (!keeper.on_the_way.empty()) keeper.persist(keeper.on_the_way.rbegin()->first);
            CHECK(keeper.held() == keeper.log.last().index);  // every entry becomes stable in the end
            REQUIRE(keeper.is_honest());
        }
        CHECK(held > 10'000);
    }
}
