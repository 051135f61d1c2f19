// How a backup receives entries that it lacks: S8, from the log or by a snapshot.
#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <utility>

#include "../support/replica_group.hpp"

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::replica;
using namespace understudy::test;
using namespace std::chrono_literals;

TEST_SUITE("replica_joining") {
    namespace {
    /// A primary with 20 entries whose log retains none of them, so that a new backup needs a snapshot of several
    /// chunks.
    ReplicaGroup trimmed() {
        ReplicaGroup group;
        group.options.log_bytes = 0;
        group.options.chunk_bytes = 16;
        group.options.chunk_window = 2;
        group.start("a", 1);
        group.decide(group.member("a"));
        auto session = group.open("a");
        for (Sequence seq = 1; seq <= 20; ++seq) group.put("a", "entry" + std::to_string(seq), session, seq, 1);
        REQUIRE(group["a"].state().log.first() == 22);
        group.start("b", 2);
        return group;
    }
    /// Delivers the messages in flight now, and nothing that is sent in response: half a round trip.
    void one_way(ReplicaGroup& group) {
        for (auto& [from, envelope] : std::exchange(group.wire, {})) group.deliver(from, std::move(envelope));
    }
    const Install* next_install(const ReplicaGroup& group) {
        for (const auto& [from, envelope] : group.wire)
            if (auto* install = std::get_if<Install>(&envelope.message)) return install;
        return nullptr;
    }
    }  // namespace

    TEST_CASE("S8: a backup whose last entry the primary has is sent only what follows") {
        auto group = pair_in_sync();
        for (int i = 0; i < 5; ++i) group.put("a", "x");
        group.settle();
        group.decide(group.member("a"), {});
        for (int i = 0; i < 3; ++i) group.put("a", "y");
        std::size_t sent = 0;
        group.lost = [&](auto&, auto&, auto& message) {
            if (auto* append = std::get_if<Append>(&message)) sent += append->entries.size();
            return false;
        };
        group.decide(group.member("a"), {group.member("b")});
        group.settle();
        CHECK(sent == 3);
        CHECK(group["b"].state().log.last() == group["a"].state().log.last());
    }

    TEST_CASE("S8: a backup with a tail that differs goes back to its commit index") {
        ReplicaGroup group;
        for (auto [name, incarnation] : {std::pair{"a", 1}, {"b", 2}})
            group.start(name, static_cast<std::uint64_t>(incarnation));
        group.decide(group.member("a"), {group.member("b", true)});
        group.settle();
        group.put("a", "both");
        group.settle();
        group.pass(110ms);
        group.lost = [](auto&, auto& to, auto&) { return to == "b"; };
        group.put("a", "only a");
        group.put("a", "only a too");
        group.lost = nullptr;
        group.decide(group.member("b"), {}, {"b"});
        group.put("b", "b's");
        group.decide(group.member("b"), {group.member("a")});
        group.settle();
        group.pass(110ms);
        CHECK(group["a"].store().all == "both;b's;");
        CHECK(group.count<LogTruncated>() == 1);
    }

    TEST_CASE("S8: what the log no longer holds comes as a snapshot with the sessions in it") {
        auto group = trimmed();
        group.decide(group.member("a"), {group.member("b")});
        group.settle();
        CHECK(group["b"].store() == group["a"].store());
        CHECK(group["b"].state().sessions == group["a"].state().sessions);
        CHECK(group["b"].state().applied == group["a"].state().applied);
        CHECK(group.pings["a"].synced == std::vector<Address>{"b"});
        CHECK(group.count<SnapshotInstalled>() == 1);
    }

    TEST_CASE("S8: writes go on during a transfer and reach the backup after it") {
        auto group = trimmed();
        group.decide(group.member("a"), {group.member("b")});
        int written = 0;
        for (int steps = 0; !group.wire.empty(); ++steps) {
            group.deliver_oldest();
            if (steps % 5 == 0 && written < 10)
                CHECK(group.outcome(group.put("a", "w" + std::to_string(written++))) != "none");
        }
        group.pass(110ms);
        CHECK(written > 3);
        CHECK(group["b"].store() == group["a"].store());
        CHECK(group.count<SnapshotInstalled>() == 1);
    }

    TEST_CASE("S8: a turn sends one chunk and the next turn follows at once") {
        auto group = trimmed();
        group.decide(group.member("a"), {group.member("b")});
        while (!next_install(group)) group.deliver_oldest();
        const auto installs = [&] {
            return std::ranges::count_if(
                group.wire, [](const auto& sent) { return std::holds_alternative<Install>(sent.second.message); });
        };
        CHECK(installs() == 1);
        CHECK(group["a"].deadline() <= group.now);
        group.turn("a");
        CHECK(installs() == 2);
        CHECK(group["a"].deadline() > group.now);  // as many as the window allows
        group.turn("a");
        CHECK(installs() == 2);
    }

    TEST_CASE("S8: lost and repeated chunks are sent again and change nothing twice") {
        auto group = trimmed();
        int n = 0;
        group.lost = [&](auto& from, auto& to, auto& message) {
            if (from == "a" && to == "b" && n % 4 == 1) group.wire.emplace_back(from, Envelope{to, "77", message});
            return to != "views" && ++n % 3 == 0 && n < 60;
        };
        group.decide(group.member("a"), {group.member("b")});
        group.pass(2s);
        CHECK(group["b"].store() == group["a"].store());
        CHECK(group.pings["a"].synced == std::vector<Address>{"b"});
    }

    TEST_CASE("S8: a chunk that does not continue the same snapshot is refused and says what is wanted") {
        auto group = trimmed();
        group.decide(group.member("a"), {group.member("b")}, {"a", "b"});
        while (!next_install(group)) group.deliver_oldest();
        auto install = *next_install(group);
        install.view.whole.reset();
        group.wire.clear();
        auto good = group.ask("b", install);
        CHECK(std::get<InstallResult>(*group.answer(good)).next == 1);
        install.chunk = 2;
        auto ahead = group.ask("b", install);
        const auto& refusal = std::get<Failure>(*group.answer(ahead));
        CHECK(refusal.code == error::bad_chunk);
        CHECK(refusal.install->next == 1);
        install.chunk = 1;
        install.snapshot.by = Incarnation{55};
        CHECK(group.outcome(group.ask("b", install)) == "bad_chunk");
    }

    TEST_CASE("S8: a transfer that was broken by a view change goes on where it stopped") {
        auto group = trimmed();
        group.decide(group.member("a"), {group.member("b")});
        std::uint64_t chunks_before = 0;
        group.lost = [&](auto&, auto&, auto& message) {
            if (auto* install = std::get_if<Install>(&message)) chunks_before = install->chunk;
            return chunks_before >= 6;
        };
        group.settle();
        std::uint64_t first_after = ~std::uint64_t{0};
        group.lost = [&](auto&, auto&, auto& message) {
            if (auto* install = std::get_if<Install>(&message)) first_after = std::min(first_after, install->chunk);
            return false;
        };
        group.decide(group.member("a"), {});
        group.decide(group.member("a"), {group.member("b")});
        group.pass(100ms);
        CHECK(first_after >= 4);
        CHECK(group["b"].store() == group["a"].store());
    }

    TEST_CASE("S8: a transfer goes on in the next view although its last chunks were lost with the old one") {
        auto group = trimmed();
        group.start("c", 3);
        group.decide(group.member("a"), {group.member("b"), group.member("c")});
        group.lost = [](auto& from, auto& to, auto&) { return from == "b" || to == "c"; };
        group.settle();
        group.lost = nullptr;
        group.decide(group.member("a"), {group.member("b")});
        group.settle();
        CHECK(group["b"].store() == group["a"].store());
    }

    TEST_CASE("S8: a late first chunk of another snapshot delays a transfer and does not mix with it") {
        for (std::uint64_t chunk = 1; chunk <= 6; ++chunk) {
            CAPTURE(chunk);
            auto group = trimmed();
            group.decide(group.member("a"), {group.member("b")}, {"a", "b"});
            while (!next_install(group) || next_install(group)->chunk < chunk) group.deliver_oldest();
            const Install late{ReplicaGroup::cluster, "main", {2, {}}, {Incarnation{55}, {1, 25}}, 0,
                               "2 0  mixed;",         false};
            const auto id = group.ask("b", late);
            CHECK(std::get<InstallResult>(*group.answer(id)).next == 1);
            group.settle();
            CHECK(group["b"].store() == group["a"].store());
            CHECK(group["b"].state().sessions == group["a"].state().sessions);
            CHECK(group["b"].state().applied == group["a"].state().applied);
            CHECK(group.count<SnapshotInstalled>() == 1);
            CHECK(group.count<BackupInSync>() == 1);
        }
    }

    TEST_CASE("S8: a transfer that a new primary begins anew leaves the backup's state alone until it is whole") {
        auto group = trimmed();
        group.decide(group.member("a"), {group.member("b")});
        group.settle();
        group.decide(group.member("a"));
        for (int i = 0; i < 20; ++i) group.put("a", "later");  // `b` has the entries before these
        group.start("c", 3);
        group.decide(group.member("a"), {group.member("c")});
        group.settle();
        int chunks = 0;
        group.lost = [&](auto&, auto& to, auto& message) {
            return to == "b" && std::holds_alternative<Install>(message) && ++chunks > 3;
        };
        group.decide(group.member("a"), {group.member("c", true), group.member("b")});
        group.settle();
        REQUIRE(chunks > 3);
        group.lost = nullptr;
        group.servers.erase("a");
        const auto before = group["b"].state();
        REQUIRE_FALSE(before.store.all.empty());
        const auto installed = group.count<SnapshotInstalled>();
        group.decide(group.member("c"), {group.member("b")});
        int steps = 0;
        for (; !group.wire.empty() && group.count<SnapshotInstalled>() == installed; ++steps) {
            CHECK(group["b"].state() == before);
            group.deliver_oldest();
        }
        CHECK(steps > 10);
        group.settle();
        CHECK(group["b"].store() == group["c"].store());
        CHECK(group["b"].state().sessions == group["c"].state().sessions);
        CHECK(group["c"].store().all.ends_with("later;"));
        CHECK(group.count<SnapshotInstalled>() == installed + 1);
        CHECK(group.pings["c"].synced == std::vector<Address>{"b"});
    }

    TEST_CASE("S8: an answer that acknowledges less than an earlier one completes no transfer") {
        auto joined = trimmed();
        std::uint64_t chunks = 0;
        joined.lost = [&](auto&, auto&, auto& message) {
            const auto* install = std::get_if<Install>(&message);
            if (install && install->last) chunks = install->chunk + 1;
            return false;
        };
        joined.decide(joined.member("a"), {joined.member("b")});
        joined.settle();
        REQUIRE(chunks > 3);

        // The same transfer, to a backup that refuses the first chunk and in the refusal claims to have all of them.
        auto group = trimmed();
        const auto b = group.member("b");
        group.servers.erase("b");
        group.decide(group.member("a"), {b});
        auto sent = std::move(group.wire.back().second);
        group.give("a", "b", sent.id, Failure{"replica.append", error::mismatch, {}, group.info(), Held{}, {}});
        sent = std::move(group.wire.back().second);
        const auto snapshot = std::get<Install>(sent.message).snapshot;
        const InstallResult all{2, snapshot, chunks}, none{2, snapshot, 0};
        group.give("a", "b", sent.id, Failure{"replica.install", error::bad_chunk, {}, group.info(), {}, all});
        const auto before = group.wire.size();
        group.give("a", "b", sent.id, none);
        CHECK(group["a"].status(group.now).backups.at(0).match == 0);
        CHECK(group.wire.size() == before);  // nor does it begin another one
        group.give("a", "b", sent.id, all);
        CHECK(group["a"].status(group.now).backups.at(0).match == snapshot.at.index);
    }

    TEST_CASE("S8: a snapshot at or below the commit index changes nothing") {
        auto group = trimmed();
        group.decide(group.member("a"), {group.member("b")});
        group.settle();
        auto before = group["b"].state();
        Install install{ReplicaGroup::cluster, "main", {2, {}}, {Incarnation{1}, {1, 3}}, 0, "2 0  ", true};
        auto id = group.ask("b", install);
        CHECK(std::get<InstallResult>(*group.answer(id)).next == 1);
        CHECK(group["b"].state() == before);
    }

    TEST_CASE("S8: a snapshot that cannot be read is refused and leaves the backup's state alone") {
        auto group = trimmed();
        group.decide(group.member("a"), {group.member("b")}, {"b"});
        const Entry first{{2, 1}, EntryKind::open, {}, 0, 0, {}};
        const Entry second{{2, 2}, EntryKind::command, {2, 1}, 1, 1, "x"};
        const Entry third{{2, 3}, EntryKind::command, {2, 1}, 2, 1, "y"};
        group.ask("b", Append{ReplicaGroup::cluster, "main", {2, {}}, {}, {first, second, third}, 2, 0});
        const auto before = group["b"].state();
        REQUIRE(before.store.all == "x;");
        REQUIRE(before.log.last().index == 3);
        for (const auto* garbage : {"nonsense", "99999999999999999999999 ", "3 x y ", "2 0  "}) {
            Install install{ReplicaGroup::cluster, "main", {2, {}}, {Incarnation{1}, {1, 30}}, 0, garbage, true};
            auto id = group.ask("b", install);
            if (std::string{garbage} == "2 0  ") {
                CHECK(std::holds_alternative<InstallResult>(*group.answer(id)));
            } else {
                CHECK(group.outcome(id) == "bad_chunk");
                CHECK(group["b"].state() == before);
            }
        }
        CHECK(group["b"].store().all.empty());  // the last text is a valid snapshot of an empty store
    }

    TEST_CASE("S8: a half-received snapshot is forgotten after transfer_ttl in every role") {
        auto group = trimmed();
        group.decide(group.member("a"), {group.member("b")});
        int chunks = 0;
        group.lost = [&](auto&, auto&, auto& message) {
            return std::holds_alternative<Install>(message) && ++chunks > 3;
        };
        group.settle();
        group.decide(group.member("a"));
        for (const auto* name : {"a", "b"}) {  // `a` retains the snapshot that it sent, `b` the chunks that it received
            group.turn(name);
            CHECK(group[name].deadline() <= group.now + group.options.transfer_ttl);
        }
        group.decide(Member{"z", Incarnation{9}, false});
        group.now += group.options.transfer_ttl;
        for (const auto* name : {"a", "b"}) {
            group.turn(name);
            CHECK(group[name].deadline() > group.now);  // no deadline in the past is left
        }
    }

    TEST_CASE("S4: a joining backup gets in sync although the writes never pause") {
        ReplicaGroup group;
        group.start("a", 1);
        group.start("b", 2);
        group.decide(group.member("a"), {group.member("b")});
        for (int i = 0; i < 50 && group.count<BackupInSync>() == 0; ++i) {
            group.put("a", "x");
            one_way(group);
        }
        CHECK(group.count<BackupInSync>() == 1);
    }

    TEST_CASE("S4: writes do not wait for all that is under way to a joining backup") {
        ReplicaGroup group;
        group.options.append_bytes = 10 * Log::size_of(Entry{});
        group.start("a", 1);
        group.decide(group.member("a"));
        for (int i = 0; i < 40; ++i) group.put("a", "");
        group.start("b", 2);
        group.decide(group.member("a"), {group.member("b")});
        const auto all_sent = [&] {
            return std::ranges::any_of(group.wire, [](const auto& sent) {
                const auto* append = std::get_if<Append>(&sent.second.message);
                return append && !append->entries.empty() && append->entries.back().at.index == 40;
            });
        };
        while (!all_sent()) group.deliver_oldest();
        const auto call = group.put("a", "");
        CHECK(group.outcome(call) == "none");
        while (group.outcome(call) == "none") group.deliver_oldest();
        CHECK(group["a"].status(group.now).backups.at(0).match < 40);
        CHECK(group.count<BackupInSync>() == 0);
        group.settle();
        CHECK(group.count<BackupInSync>() == 1);
    }

    TEST_CASE("S4: a backup that returns to a long log gets in sync within a few round trips of writes") {
        for (const int history : {0, 1'000, 5'000}) {
            CAPTURE(history);
            ReplicaGroup group;
            for (const char* name : {"a", "b"}) group.start(name, static_cast<unsigned>(*name - 'a') + 1);
            group.decide(group.member("a"), {group.member("b")});
            group.pass(1s);
            for (int i = 0; i < history; ++i) group.put("a", "");
            group.settle();
            group.decide(group.member("a"), {});
            group.settle();
            group.put("a", "");
            group.events.clear();
            group.decide(group.member("a"), {group.member("b")});
            std::deque<std::pair<Address, Envelope>> under_way;
            int trips = 0;
            for (; trips < 50 && group.count<BackupInSync>() == 0; ++trips) {
                for (int i = 0; i < 5; ++i) group.put("a", "");
                std::swap(under_way, group.wire);
                for (auto& [from, envelope] : std::exchange(under_way, {})) group.deliver(from, std::move(envelope));
                group.now += 1ms;
                group.turn("a");
            }
            CHECK(trips < 20);
        }
    }

    TEST_CASE("S4: a joining backup that falls silent does not hold up the writes for longer than D/2") {
        ReplicaGroup group;
        group.start("a", 1);
        group.start("b", 2);
        group.decide(group.member("a"), {group.member("b")});
        for (int i = 0; i < 2; ++i) {
            group.put("a", "x");
            one_way(group);
        }
        group.lost = [](auto& from, auto&, auto&) { return from == "b"; };
        auto call = group.put("a", "x");
        CHECK(group.outcome(call) == "none");  // it waits for the backup that is about to be in sync
        group.pass(270ms);
        CHECK(group.outcome(call) != "none");
        CHECK(group.count<BackupUnreachable>() == 1);
        CHECK(group.count<BackupInSync>() == 0);
    }

    TEST_CASE("S8: what was written during a transfer is kept until the backup has it") {
        auto group = trimmed();
        group.options.append_bytes = 1;
        group.options.window_bytes = 1;
        group.start("a", 1);
        group.decide(group.member("a"));
        for (int i = 0; i < 20; ++i) group.put("a", "before");
        group.decide(group.member("a"), {group.member("b")});
        for (int i = 0; i < 300 && group.count<BackupInSync>() == 0; ++i) {
            if (i < 60) group.put("a", "x");
            one_way(group);
        }
        group.settle();
        CHECK(group.count<BackupInSync>() == 1);
        CHECK(group.count<SnapshotInstalled>() == 1);
        CHECK(group["b"].state().log.last() == group["a"].state().log.last());
    }

    TEST_CASE("S8: a backup that fell behind the log is sent a snapshot at once") {
        ReplicaGroup group;
        group.options.log_bytes = 400;
        group.options.transfer_log_bytes = 0;
        group.start("a", 1);
        group.start("b", 2);
        group.decide(group.member("a"));
        group.put("a", "first");
        group.decide(group.member("a"), {group.member("b")});
        one_way(group);
        one_way(group);  // now the primary knows what the backup holds
        CHECK(group.count<BackupJoining>() == 1);
        group.lost = [](auto&, auto& to, auto&) { return to == "b"; };
        for (int i = 0; i < 10; ++i) group.put("a", "x");
        bool chunk = false;
        group.lost = [&](auto&, auto& to, auto& message) {
            chunk = chunk || std::holds_alternative<Install>(message);
            return to == "b";
        };
        for (int i = 0; i < 100 && group.count<BackupJoining>() < 2; ++i) {
            group.now += 10ms;
            group.turn("a");
        }
        CHECK(chunk);
    }

    TEST_CASE("S8: a transfer that turns out not to be needed is dropped") {
        auto group = trimmed();
        group.decide(group.member("a"), {group.member("b")});
        group.lost = [](auto& from, auto&, auto& message) {
            return from == "b" && std::holds_alternative<InstallResult>(message);
        };
        group.settle();
        group.lost = nullptr;
        group.decide(group.member("a"));  // the transfer is retained until the backup returns
        Install whole{
            ReplicaGroup::cluster, "main", {}, {Incarnation{5}, group["a"].state().applied}, 0, "2 0  ", true};
        group.decide(group.member("a"), {group.member("b")}, {"b"});
        whole.view = {group.view.number, group.info()};
        group.ask("b", whole);  // meanwhile the backup received a whole snapshot by another path
        group.give("a", ReplicaGroup::views, {}, ViewChanged{group.info()});
        group.settle();
        CHECK(group.count<BackupInSync>() == 1);
        for (int i = 0; i < 20; ++i) group.put("a", "x");
        group.settle();
        CHECK(group["a"].state().log.bytes() == 0);  // log_bytes is 0
    }
}
