// A backup that is far behind and slow: it must catch up, and must not be overloaded with appends.
#include <doctest/doctest.h>

#include <map>

#include "../support/replica_group.hpp"

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::replica;
using namespace understudy::test;
using namespace std::chrono_literals;

TEST_SUITE("replica_pacing") {
    namespace {
    /// A primary with 2000 entries in its log, sent in appends of about ten.
    ReplicaGroup far_ahead() {
        ReplicaGroup group;
        group.start("a", 1);
        group.options.append_bytes = 10 * Log::size_of(Entry{});
        group.start("a", 1);
        group.decide(group.member("a"));
        for (int i = 0; i < 2000; ++i) group.put("a", "x");
        group.start("b", 2);
        return group;
    }

    /// Time passes in steps of a millisecond while "b" takes long for each append with entries, and for each chunk.
    struct Slow {
        ReplicaGroup& group;
        Duration per_append;
        Duration per_chunk{};
        std::size_t sent = 0;  ///< The number of entries sent to "b".
        std::deque<std::pair<Address, Envelope>> waiting{};
        Time free_at{};

        void step() {
            for (auto& [name, server] : group.servers)
                if (server.deadline() <= group.now) group.turn(name);
            while (!group.wire.empty()) {
                auto [from, envelope] = std::move(group.wire.front());
                group.wire.pop_front();
                if (const auto* append = std::get_if<Append>(&envelope.message)) sent += append->entries.size();
                if (envelope.peer == "b")
                    waiting.emplace_back(from, std::move(envelope));
                else
                    group.deliver(from, std::move(envelope));
            }
            while (!waiting.empty() && free_at <= group.now) {
                auto [from, envelope] = std::move(waiting.front());
                waiting.pop_front();
                const auto* append = std::get_if<Append>(&envelope.message);
                if (append && !append->entries.empty()) free_at = group.now + per_append;
                if (std::holds_alternative<Install>(envelope.message)) free_at = group.now + per_chunk;
                group.deliver(from, std::move(envelope));
            }
            group.now += 1ms;
        }
        void pass(Duration length) {
            for (const auto end = group.now + length; group.now < end;) step();
        }
    };

    /// Returns the number of entries sent to "b".
    std::size_t pass_slowly(ReplicaGroup& group, Duration length, Duration per_append) {
        Slow slow{group, per_append};
        slow.pass(length);
        return slow.sent;
    }
    }  // namespace

    TEST_CASE("S7: a backup that works through a long backlog is slow and not unreachable") {
        auto group = far_ahead();
        group.decide(group.member("a"), {group.member("b")});
        auto sent = pass_slowly(group, 6s, 20ms);
        CHECK(group.count<BackupUnreachable>() == 0);
        CHECK(group.count<BackupInSync>() == 1);
        CHECK(group["b"].state().log.last() == group["a"].state().log.last());
        CHECK(sent < 2 * 2000);
    }

    TEST_CASE("S8: a backup whose single append takes longer than the resend time is not buried in repeats") {
        auto group = far_ahead();
        group.decide(group.member("a"), {group.member("b")});
        auto sent = pass_slowly(group, 30s, 60ms);
        CHECK(group.count<BackupInSync>() == 1);
        CHECK(sent < 2 * 2000);
    }

    TEST_CASE("S8: a joiner slower than the writes gets in or begins anew and never fills the log") {
        constexpr std::size_t kept = 20'000;
        const auto entry = Log::size_of(Entry{}) + 1;
        ReplicaGroup group;
        group.options.append_bytes = 10 * Log::size_of(Entry{});
        group.options.log_bytes = group.options.transfer_log_bytes = kept;
        group.options.chunk_bytes = 1000;
        group.options.max_calls = 200;
        group.start("a", 1);
        group.decide(group.member("a"));
        for (int i = 0; i < 2000; ++i) group.put("a", std::string(50, 'x'));
        group.start("b", 2);
        group.answers.clear();
        std::size_t asked = 0, largest = 0;
        bool begins_anew = false;
        Slow slow{group, 20ms};
        SUBCASE("the snapshot is fast and the entries are slow") {}
        SUBCASE("the snapshot is slow too") {
            slow.per_chunk = 20ms;
            begins_anew = true;
        }
        group.decide(group.member("a"), {group.member("b")});
        for (const auto end = group.now + 30s; group.now < end; asked += 2) {
            for (int i = 0; i < 2; ++i) group.put("a", "x");
            slow.step();
            largest = std::max(largest, group["a"].state().log.bytes());
        }
        const auto good = std::ranges::count_if(
            group.answers, [](const auto& answer) { return std::holds_alternative<ExecuteResult>(answer.message); });
        if (begins_anew) {
            CHECK(group.count<BackupInSync>() == 0);
            CHECK(group.count<BackupJoining>() > 3);
            CHECK(group.answers.size() == asked);
            CHECK(largest <= kept + 10 * entry);
        } else {
            CHECK(group.count<BackupInSync>() == 1);
            CHECK(group.count<BackupJoining>() < 10);
            CHECK(good > 30'000 / 20);  // the least that b can take: one entry per append
            CHECK(largest <= kept + (group.options.max_calls + 10) * entry);
        }
        CHECK(group.count<BackupUnreachable>() == 0);
        slow.pass(8s);
        CHECK(group.answers.size() == asked);
        CHECK(group.count<BackupInSync>() == 1);
        CHECK(group["b"].store() == group["a"].store());
    }

    TEST_CASE("S7: one that answers nothing any more is unreachable after D/2 although it answered before") {
        auto group = far_ahead();
        group.decide(group.member("a"), {group.member("b")});
        pass_slowly(group, 500ms, 20ms);
        CHECK(group.count<BackupUnreachable>() == 0);
        group.lost = [](auto& from, auto&, auto&) { return from == "b"; };
        pass_slowly(group, 300ms, 20ms);
        CHECK(group.count<BackupUnreachable>() == 1);
    }

    TEST_CASE("S7: a backup that acknowledges bit by bit what a broken connection had lost is not unreachable") {
        constexpr int window = 600;
        ReplicaGroup group;
        group.options.append_bytes = 10 * Log::size_of(Entry{});
        group.start("a", 1);
        group.start("b", 2);
        group.decide(group.member("a"), {group.member("b", true)});
        for (int i = 0; i < window; ++i) {  // so that the window allows as many in flight
            group.put("a", "x");
            group.settle();
        }
        group.pass(300ms);
        group.lost = [](auto&, auto& to, auto&) { return to == "b"; };
        for (int i = 0; i < window; ++i) group.put("a", "x");
        group.lost = nullptr;
        group.lose("a", "b");
        Slow slow{group, 20ms};
        slow.pass(5s);
        CHECK(group.count<BackupUnreachable>() == 0);
        CHECK(group["b"].state().log.last().index == 2 * window);
    }
}
