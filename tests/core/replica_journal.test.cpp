// S9: with a journal nothing counts as stable before it is on stable storage, and the next incarnation continues from
// the journal.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tests/support/replica_group.hpp"

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::replica;
using namespace understudy::test;

TEST_SUITE("replica_journal") {
    /// `a` leads `b`; from now on the test decides when their journals are synced.
    ReplicaGroup pair() {
        ReplicaGroup group;
        group.start_with_journal("a", 1);
        group.start_with_journal("b", 2);
        group.decide(group.member("a"), {group.member("b", true)});
        group.settle();
        group.keep_up = false;
        return group;
    }
    /// The computer of `name` loses power, and the server is started again.
    void cut_power(ReplicaGroup & group, const Address& name, std::uint64_t incarnation) {
        group.journals.at(name).lose_power();
        group.start_with_journal(name, incarnation);
        group.persist(name);
    }

    TEST_CASE("S9: a backup acknowledges nothing before it is on stable storage") {
        auto group = pair();
        const auto call = group.put("a", "x");
        group.persist("a");
        group.settle();
        CHECK(group.outcome(call) == "none");
        group.persist("b");
        group.settle();
        CHECK(group.outcome(call) == "2");
    }

    TEST_CASE("S9: a primary counts itself only for what is on its own stable storage") {
        auto group = pair();
        const auto call = group.put("a", "x");
        group.settle();
        group.persist("b");
        group.settle();
        CHECK(group.outcome(call) == "none");
        CHECK(group["a"].state().commit == 0);
        group.persist("a");
        CHECK(group.outcome(call) == "2");
    }

    TEST_CASE("S9: a server sends its entries while its own disk is at work") {
        auto group = pair();
        group.put("a", "x");
        group.settle();
        CHECK(group["b"].state().log.last().index == 1);
        CHECK(group["a"].state().durable_index() == 0);
    }

    TEST_CASE("S9: what was not on stable storage when its view ended is not acknowledged later") {
        auto group = pair();
        group.put("a", "x");
        group.settle();
        group.decide(group.member("b"), {group.member("a", true)}, {"b"});  // `a` does not receive that view
        group.persist("b");
        for (const auto& [from, envelope] : group.wire) CHECK(!std::holds_alternative<AppendResult>(envelope.message));
    }

    TEST_CASE("S9: a backup that stays one acknowledges nothing of the view that has ended") {
        auto group = pair();
        group.put("a", "x");
        group.settle();
        group.decide(group.member("a"), {group.member("b", true)}, {"b"});
        group.wire.clear();
        group.persist("b");
        for (const auto& [from, envelope] : group.wire) CHECK(!std::holds_alternative<AppendResult>(envelope.message));
    }

    TEST_CASE("S9: a server is heard of only when its life is noted in the journal") {
        ReplicaGroup group;
        group.keep_up = false;
        Recovery<ListStore> nothing{ListStore{}, 0};
        CHECK(Replica{std::move(nothing).finish(), group.options, "a", Incarnation{1}, group.now, true}.deadline() <=
              group.now);  // the replica must ask to be woken: no message would wake it
        group.start_with_journal("a", 1);
        group.pass(1s);
        CHECK(!group.pings.contains("a"));
        group.persist("a");
        CHECK(group.pings.at("a").incarnation == Incarnation{1});
        CHECK(group.pings.at("a").recovered.empty());
        CHECK(group.pings.at("a").journal);
        CHECK(group.pings.at("a").knew == 0);
    }

    TEST_CASE("S9: a server that is started again says which lives it continues") {
        ReplicaGroup group;
        for (std::uint64_t process : {1u, 2u, 3u}) group.start_with_journal("a", process);
        CHECK(group.pings.at("a").recovered == std::vector{Incarnation{1}, Incarnation{2}});
        CHECK(group.pings.at("a").viewnum == 0);
        CHECK(!group.pings.at("a").cluster);
        group.decide(group.member("a"));
        group.start_with_journal("a", 4);  // the view named the third incarnation, so no view will name an older one
        CHECK(group.pings.at("a").recovered == std::vector{Incarnation{3}});
        CHECK(group.pings.at("a").viewnum == 0);
        CHECK(group.pings.at("a").knew == 1);
        CHECK(group.pings.at("a").cluster == ReplicaGroup::cluster);
    }

    TEST_CASE("S9: what a life learns that no view names says nothing of the state that it found") {
        auto group = pair();
        group.keep_up = true;
        const auto ping = [&] { return group.pass(300ms), group.pings.at("b"); };
        group.start_with_journal("b", 5);
        CHECK(ping().state_view == 1);
        group.decide(group.member("a"));
        CHECK(ping().viewnum == 2);
        CHECK(ping().knew == 2);
        CHECK(ping().state_view == 1);
        group.start_with_journal("b", 6);
        CHECK(ping().knew == 2);
        CHECK(ping().state_view == 1);
        group.keep_up = false;
        group.decide(group.member("a"), {group.member("b")});
        CHECK(ping().recovered.empty());
        CHECK(ping().state_view == 1);  // the view that names it is not stable yet
        group.persist("b");
        CHECK(ping().state_view == 3);
        group.keep_up = true;
        group.start_with_journal("b", 7);
        CHECK(ping().recovered == std::vector{Incarnation{6}});
        CHECK(ping().state_view == 3);
    }

    TEST_CASE("S9: a server says what view its journal has only when that is on stable storage") {
        auto group = pair();
        group.pass(300ms);
        CHECK(group.pings.at("a").knew == 1);
        group.decide(group.member("a"));
        group.pass(300ms);
        CHECK(group.pings.at("a").viewnum == 2);
        CHECK(group.pings.at("a").knew == 1);
        group.persist("a");
        group.pass(300ms);
        CHECK(group.pings.at("a").knew == 2);
    }
    TEST_CASE("S9: a life that was not noted on stable storage is missing") {
        ReplicaGroup group;
        group.start_with_journal("a", 1);
        group.keep_up = false;
        group.start_with_journal("a", 2);
        group.journals.at("a").lose_power();
        group.start_with_journal("a", 3);
        group.persist("a");
        CHECK(group.pings.at("a").recovered == std::vector{Incarnation{1}});
    }

    TEST_CASE("S9: a life that does not wait for stable storage neither continues another nor is continued") {
        ReplicaGroup group;
        group.start_with_journal("a", 1);
        group.start_with_journal("a", 2, false);
        CHECK(group.pings.at("a").recovered.empty());
        group.start_with_journal("a", 3);
        CHECK(group.pings.at("a").recovered.empty());
        group.start_with_journal("a", 4);
        CHECK(group.pings.at("a").recovered == std::vector{Incarnation{3}});
    }

    TEST_CASE("S9: of very many lives the first and the last are named") {
        ReplicaGroup group;
        for (std::uint64_t process = 1; process <= 300; ++process) group.start_with_journal("a", process);
        const auto& processes = group.pings.at("a").recovered;
        CHECK(processes.size() < 256);
        CHECK(processes.front() == Incarnation{1});
        CHECK(processes.back() == Incarnation{299});
    }

    TEST_CASE("R5: a group that lost its power goes on with every answered write") {
        auto group = pair();
        group.keep_up = true;
        const auto session = group.open("a");
        const auto first = group.put("a", "x", session, 1, 1);
        group.settle();
        group.pass(200ms);
        REQUIRE(group.outcome(first) == "2");
        group.keep_up = false;
        group.put("a", "lost", session, 2, 1);
        for (const auto& name : {"a", "b"}) cut_power(group, name, name[0] == 'a' ? 3 : 4);
        group.keep_up = true;
        group.decide(group.member("a"), {group.member("b")});
        group.settle();
        const auto repeated = group.put("a", "x", session, 1, 1);
        group.settle();
        CHECK(group.outcome(repeated) == "2");
        CHECK(group["a"].store().all == "x;");
        group.pass(200ms);
        CHECK(group["b"].store().all == "x;");
    }

    TEST_CASE("S8: a server that comes back with its journal is brought up from the log") {
        auto group = pair();
        group.keep_up = true;
        for (const auto* text : {"1", "2", "3"}) group.put("a", text);
        group.pass(200ms);
        group.decide(group.member("a"), {});
        group.put("a", "4");
        group.start_with_journal("b", 5);
        CHECK(group["b"].store().all == "1;2;3;");
        group.events.clear();
        group.decide(group.member("a"), {group.member("b")});
        group.pass(200ms);
        CHECK(group["b"].store().all == "1;2;3;4;");
        CHECK(group.count<SnapshotInstalled>() == 0);
        CHECK(group.count<BackupInSync>() == 1);
    }

    TEST_CASE("S3: an old primary that comes back gives up the entries that nobody else had") {
        auto group = pair();
        group.keep_up = true;
        group.put("a", "kept");
        group.pass(200ms);
        group.lost = [](auto&, auto& to, auto&) { return to == "b"; };
        group.put("a", "alone");  // on the disk of `a` only
        group.lost = nullptr;
        group.wire.clear();
        group.decide(group.member("b"), {}, {"b"});
        group.put("b", "instead");
        group.settle();
        group.start_with_journal("a", 6);
        CHECK(group["a"].state().log.last() == Position{1, 2});
        group.decide(group.member("b"), {group.member("a")});
        group.pass(200ms);
        CHECK(group.count<LogTruncated>() == 1);
        CHECK(group["a"].store().all == "kept;instead;");
        group.start_with_journal("a", 7);  // the truncation is stable
        CHECK(group["a"].state().log.last() == group["b"].state().log.last());
        CHECK(group["a"].state().log.has(group["b"].state().log.last()));
    }

    TEST_CASE("S8: a received snapshot is acknowledged when it is on stable storage and is there after a restart") {
        ReplicaGroup group;
        group.options.log_bytes = 0;
        group.start_with_journal("a", 1);
        group.decide(group.member("a"));
        for (const auto* text : {"1", "2", "3"}) group.put("a", text);
        group.start_with_journal("b", 2);
        group.keep_up = false;
        group.decide(group.member("a"), {group.member("b")});
        for (int turn = 0; turn < 20; ++turn) group.persist("a"), group.settle();
        CHECK(group.count<SnapshotInstalled>() == 1);
        CHECK(group["a"].status(group.now).backups[0].match == 0);
        auto without = group;  // as if the power were cut now
        cut_power(without, "b", 3);
        CHECK(without["b"].store().all == "");
        group.keep_up = true;
        group.persist("b");
        group.pass(200ms);
        CHECK(group["a"].status(group.now).backups[0].match == 3);
        group.start_with_journal("b", 3);
        CHECK(group["b"].store().all == "1;2;3;");
        CHECK(group["b"].state().log.last() == Position{1, 3});
    }

    /// Exchanges messages until only the disk of `b` is waited for.
    void exchange(ReplicaGroup & group) {
        for (int turn = 0; turn < 10; ++turn) group.persist("a"), group.settle();
    }
    /// `a` leads, and sends `b` a snapshot of 11 chunks, two at a time. The test decides when their writes are synced.
    ReplicaGroup transfer(Duration ttl = 10s) {
        ReplicaGroup group;
        group.options.transfer_ttl = ttl;
        group.options.log_bytes = 0;
        group.options.chunk_bytes = 4;
        group.options.chunk_window = 2;
        group.start_with_journal("a", 1);
        group.decide(group.member("a"));
        for (int n = 0; n < 20; ++n) group.put("a", std::to_string(n % 10));
        group.start_with_journal("b", 2);
        group.keep_up = false;
        group.decide(group.member("a"), {group.member("b")});
        exchange(group);
        return group;
    }
    /// Takes the answers of `b` that acknowledge chunks, and drops every message in flight.
    std::vector<std::uint64_t> take_answers(ReplicaGroup & group) {
        std::vector<std::uint64_t> next;
        for (const auto& [from, envelope] : group.wire)
            if (auto* result = std::get_if<InstallResult>(&envelope.message)) next.push_back(result->next);
        group.wire.clear();
        return next;
    }
    /// Makes everything that `b` wrote up to this batch stable.
    void persist_until(ReplicaGroup & group, std::uint64_t batch) {
        group["b"].persisted(batch);
        group.turn("b");
    }
    std::size_t pieces(const ReplicaGroup& group) { return group.journals.at("b").pieces().size(); }

    TEST_CASE("S8: a snapshot comes no faster than the disk takes it") {
        auto group = transfer();
        std::size_t before = 0, most = 0;
        while (pieces(group) > before) {
            most = std::max(most, pieces(group) - before);
            before = pieces(group);
            group.persist("b");
            exchange(group);
        }
        CHECK(most == 2 * group.options.chunk_window);
        CHECK(group.count<SnapshotInstalled>() == 1);
        group.persist("b");
        exchange(group);
        CHECK(group["a"].status(group.now).backups[0].match == 20);
    }

    TEST_CASE("S8: a chunk is answered when the piece that came chunk_window before it is on stable storage") {
        auto group = transfer();
        const auto batch = group.journals.at("b").pieces();
        REQUIRE(batch.size() == 4);
        persist_until(group, batch[0] - 1);
        CHECK(take_answers(group).empty());
        persist_until(group, batch[0]);
        CHECK(take_answers(group) == std::vector<std::uint64_t>{3});
        persist_until(group, batch[1]);
        CHECK(take_answers(group) == std::vector<std::uint64_t>{4});
    }

    TEST_CASE("S8: a chunk that comes again is answered no earlier and in the end") {
        auto group = transfer();
        const auto batch = group.journals.at("b").pieces();
        bool by_view = false;
        SUBCASE("after a broken connection") {
            group.lose("a", "b");
            group.pass(50ms);
        }
        SUBCASE("in another view") {
            by_view = true;
            group.decide(group.member("a"), {group.member("b")});
            exchange(group);
        }
        CHECK(pieces(group) == batch.size());
        persist_until(group, batch[1] - 1);
        CHECK(take_answers(group) == (by_view ? std::vector<std::uint64_t>{} : std::vector<std::uint64_t>{3}));
        persist_until(group, batch[1]);
        const auto answers = take_answers(group);  // all lost, including the answers to repeated chunks
        CHECK(!answers.empty());
        CHECK(std::ranges::count(answers, 4u) == std::ssize(answers));
        group.keep_up = true;
        group.persist("a");
        group.pass(400ms);
        CHECK(group["a"].status(group.now).backups[0].match == 20);
        CHECK(group["b"].store().all == group["a"].store().all);
    }

    TEST_CASE("S8: a half-received snapshot is kept for as long as it waits for its own disk") {
        const auto end = [](ReplicaGroup& group) {
            group.keep_up = true;
            group.persist("b");
            group.pass(400ms);
            CHECK(group["a"].status(group.now).backups[0].match == 20);
        };
        auto at_once = transfer(200ms), late = at_once;
        end(at_once);
        const auto received = pieces(late);
        late.pass(2s);
        CHECK(pieces(late) == received);  // the disk hangs
        end(late);
        CHECK(pieces(late) == pieces(at_once));  // the transfer did not start again
    }

    TEST_CASE("S8: a half-received snapshot that nobody goes on with is dropped although appends wait for the disk") {
        auto group = pair();
        const auto begun = group.now;
        bool wanted = true;
        group.lost = [&](auto&, auto&, auto& message) {
            const auto* failure = std::get_if<Failure>(&message);
            wanted = wanted && !(failure && failure->code == error::bad_chunk);
            return failure != nullptr;
        };
        const auto send_chunk = [&](std::uint64_t n) {
            const auto& view = group["a"].view();
            const SnapshotId snapshot{Incarnation{1}, {1, 1'000'000}};
            const Install chunk{view.cluster, view.group, {view.view.number, {}}, snapshot, n, "20 x", false};
            group.wire.emplace_back("a", Envelope{"b", "7", chunk});
        };
        send_chunk(0);
        while (group.now < begun + 2 * group.options.transfer_ttl) {
            group.put("a", "x");
            group.settle();
            group.pass(50ms);
            group.persist("b");  // one answer leaves, and the next one waits
            group.put("a", "y");
            group.settle();
            group.persist("a");
        }
        CHECK(wanted);
        send_chunk(1);
        group.settle();
        CHECK(!wanted);
    }

    TEST_CASE("S9: a journal gets snapshots of its own and a restart goes on from the last one") {
        auto group = pair();
        group.keep_up = true;
        group.options.journal_bytes = 1000;
        group.options.chunk_bytes = 16;
        for (const auto* name : {"a", "b"}) group.start_with_journal(name, name[0] == 'a' ? 5 : 6);
        group.decide(group.member("a"), {group.member("b")});
        std::string all;
        for (int n = 0; n < 60; ++n) {
            group.put("a", std::to_string(n));
            group.settle();
            all += std::to_string(n) + ";";
        }
        group.pass(1s);
        CHECK(group.journals.at("a").snapshots() > 2);
        CHECK(group.journals.at("b").snapshots() > 2);
        for (const auto* name : {"a", "b"}) {
            group.start_with_journal(name, name[0] == 'a' ? 7 : 8);
            group.decide(group.member(name));
            group.pass(200ms);
            CHECK(group[name].store().all == all);
        }
    }

    TEST_CASE("S9: a snapshot that is received ends one that is being written and a restart goes on from it") {
        ReplicaGroup group;
        group.options.log_bytes = 0;
        group.options.journal_bytes = 50;
        group.options.chunk_bytes = 4;
        group.options.chunk_window = 1;
        group.start_with_journal("a", 1);
        group.start_with_journal("b", 2);
        group.decide(group.member("a"), {group.member("b", true)});
        group.settle();
        group.keep_up = false;
        const auto put = [&](const std::string& text, bool backup) {
            group.put("a", text);
            group.settle();
            group.persist("a");
            if (backup) group.persist("b");
            group.pass(200ms);
        };
        put("a command that is long enough for a snapshot", true);
        group.decide(group.member("a"), {});
        put("2", false);
        put("3", false);
        static bool ended;
        ended = false;
        const auto before = set_coverage_observer([](std::string_view place) {
            ended = ended || place == "S9: a snapshot that is received ends one that is written";
        });
        group.decide(group.member("a"), {group.member("b")});
        for (int turn = 0; turn < 100; ++turn) {
            group.persist("a");
            if (ended) group.persist("b");
            group.settle();
        }
        set_coverage_observer(before);
        CHECK(ended);
        CHECK(group.count<SnapshotInstalled>() == 1);
        group.persist("b");
        group.start_with_journal("b", 3);
        CHECK(group["b"].store().all == group["a"].store().all);
        CHECK(group["b"].state().log.last() == Position{2, 3});
    }

    TEST_CASE("S3: what a server dropped after a forced view stays dropped after a restart") {
        auto group = pair();
        group.keep_up = true;
        group.put("a", "x");
        group.settle();
        group.start_with_journal("c", 9);
        group.view = View{2, group.member("c"), {group.member("b")}, 2};
        for (const auto* name : {"c", "b"}) group.give(name, ReplicaGroup::views, {}, ViewChanged{group.info()});
        group.start_with_journal("b", 10);
        CHECK(group["b"].store().all == "");
        CHECK(group["b"].state().log.last() == Position{});
    }

    TEST_CASE("S1: after a restart a view older than what a former life knew is not adopted") {
        auto group = pair();
        group.keep_up = true;
        auto old = group.info();
        group.decide(group.member("b"), {group.member("a", true)});
        group.start_with_journal("b", 5);
        group.give("b", ReplicaGroup::views, {}, ViewChanged{old});
        CHECK(group["b"].view().view.number == 0);
        group.give("b", ReplicaGroup::views, {}, ViewChanged{group.info()});
        CHECK(group["b"].view().view.number == 2);
        CHECK(group["b"].role() == Role::idle);  // the view names a former incarnation
    }

    TEST_CASE("S9: what a turn adds is given out in batches that a journal can take") {
        auto group = pair();
        group.keep_up = true;
        replica::Output effects;
        for (int n = 0; n < 40; ++n)
            group["a"].receive({"local", std::to_string(n), Execute{ReplicaGroup::cluster, "main", {}, 0, 0,
                                                                    std::string(1u << 20, 'x')}},
                               group.now, effects);
        group.pass(200ms);
        CHECK(group.journals.at("a").largest_batch() <= (17u << 20));
        CHECK(group["a"].state().commit == 40);
    }

    TEST_CASE("S9: reads go on while disks are at work") {
        auto group = pair();
        group.keep_up = true;
        group.put("a", "x");
        group.settle();
        group.keep_up = false;
        const auto write = group.put("a", "y");
        const auto read = group.query("a");
        group.settle();
        CHECK(group.outcome(read) == "x;");
        CHECK(group.outcome(write) == "none");
    }

    TEST_CASE("S7: a backup that answers while its disk does not get on for D/2 is unreachable") {
        auto group = pair();
        group.put("a", "x");
        group.persist("a");
        for (int n = 0; n < 40; ++n) {
            group.query("a");
            group.pass(10ms);
        }
        CHECK(group.count<BackupUnreachable>() == 1);
        group.persist("b");
        group.pass(200ms);
        CHECK(group.pings.at("a").unreachable.empty());
    }

    TEST_CASE("S9: a server whose stable storage fails steps down and says nothing more") {
        auto group = pair();
        const auto call = group.put("a", "x");
        replica::Output effects;
        group["a"].journal_failed("no space left on device", group.now, effects);
        REQUIRE(!effects.events.empty());
        CHECK(describe(effects.events.front()) == "stable storage failed: no space left on device");
        CHECK(group["a"].failed());
        CHECK(!group["a"].serving());
        CHECK(group["a"].deadline() == never);
        group.settle();
        group.persist("b");
        group.settle();
        CHECK(group.outcome(call) == "none");
        group.pings.clear();
        group.pass(1s);
        CHECK(!group.pings.contains("a"));
    }
}
