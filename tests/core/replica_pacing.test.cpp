// A backup that is far behind and slow: it must get in, not be buried in appends.
#include <doctest/doctest.h>

#include <map>

#include "../support/replica_group.hpp"

using namespace understudy;
using namespace understudy::test;
using namespace std::chrono_literals;

TEST_SUITE("replica_pacing") {
    namespace {
    /// A primary with 2000 entries in its log, in appends of about ten.
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

    /// Lets time pass in steps of a millisecond; "b" takes `per_append` for each append with entries.
    /// Gives the entries that it was sent.
    std::size_t pass_slowly(ReplicaGroup& group, Duration length, Duration per_append) {
        std::size_t sent = 0;
        std::deque<std::pair<Address, Envelope>> waiting;
        Time free_at = group.now;
        for (const auto end = group.now + length; group.now < end; group.now += 1ms) {
            for (auto& [name, server] : group.servers)
                if (server.deadline() <= group.now) group.turn(name);
            while (!group.wire.empty()) {
                auto [from, envelope] = std::move(group.wire.front());
                group.wire.pop_front();
                if (const auto* append = std::get_if<Append>(&envelope.message)) sent += append->entries.size();
                if (envelope.peer == "b")
                    waiting.emplace_back(from, std::move(envelope));
                else
                    group.give("a", from, envelope.id, std::move(envelope.message));
            }
            while (!waiting.empty() && free_at <= group.now) {
                auto [from, envelope] = std::move(waiting.front());
                waiting.pop_front();
                const auto* append = std::get_if<Append>(&envelope.message);
                if (append && !append->entries.empty()) free_at = group.now + per_append;
                group.give("b", from, envelope.id, std::move(envelope.message));
            }
        }
        return sent;
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

    TEST_CASE("S7: one that answers nothing any more is unreachable after D/2 although it answered before") {
        auto group = far_ahead();
        group.decide(group.member("a"), {group.member("b")});
        pass_slowly(group, 500ms, 20ms);
        CHECK(group.count<BackupUnreachable>() == 0);
        group.lost = [](auto& from, auto&, auto&) { return from == "b"; };
        pass_slowly(group, 300ms, 20ms);
        CHECK(group.count<BackupUnreachable>() == 1);
    }
}
