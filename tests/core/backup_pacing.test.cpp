// When a primary sends again to a backup, and when it takes the backup for unreachable: the pacing alone, without a
// group.
#include <doctest/doctest.h>

#include <chrono>

#include <understudy/replica/backup_pacing.hpp>

using namespace understudy;
using namespace understudy::replica;
using namespace std::chrono_literals;

TEST_SUITE("backup_pacing") {
    namespace {
    /// D is 500 ms, so that D/20 is 25 ms.
    struct Backup {
        NodeState node = [] {
            NodeState state;
            state.info.ping_interval = 100ms;
            state.dead_after = 500ms;
            state.ack_timeout = 250ms;
            return state;
        }();
        Time now{10s};
        BackupPacing pacing{};
        std::uint64_t last = 0;

        void send(Index through = 0) { pacing.sent(++last, node, now, through); }
        /// A flush in which something was sent, so that it does not count as a new link.
        void flush() {
            pacing.take_restart(last);
            pacing.end_flush();
        }
    };
    }  // namespace

    TEST_CASE("S7: what is not answered is sent again after D/20 and after longer each time") {
        Backup backup;
        backup.send();
        backup.flush();
        CHECK(backup.pacing.deadline(backup.node) == backup.now + 25ms);
        Duration waited{};
        for (const auto interval : {25ms, 25ms, 50ms, 100ms, 125ms, 125ms}) {
            CHECK_FALSE(backup.pacing.take_resend(backup.node, backup.now + interval - 1ms));
            backup.now += interval;
            CHECK(backup.pacing.take_resend(backup.node, backup.now));
            CHECK(backup.pacing.must_send());
            backup.flush();
            backup.send();
            waited += interval;
        }
        CHECK(waited == 450ms);
        backup.pacing.answered(backup.last, backup.node, backup.now);
        CHECK_FALSE(backup.pacing.waits());
        backup.send();
        CHECK(backup.pacing.take_resend(backup.node, backup.now + 25ms));
    }

    TEST_CASE("S7: a slow answer makes the next resend later") {
        Backup backup;
        backup.send();
        backup.now += 20ms;
        backup.pacing.answered(1, backup.node, backup.now);
        backup.send();
        CHECK_FALSE(backup.pacing.take_resend(backup.node, backup.now + 59ms));
        CHECK(backup.pacing.take_resend(backup.node, backup.now + 60ms));
    }

    TEST_CASE("S7: a backup is unreachable only at the second look") {
        Backup backup;
        backup.send();
        CHECK_FALSE(backup.pacing.overdue(backup.node, backup.now + 249ms));
        CHECK_FALSE(backup.pacing.overdue(backup.node, backup.now + 250ms));
        CHECK_FALSE(backup.pacing.overdue(backup.node, backup.now + 259ms));
        CHECK_FALSE(backup.pacing.unreachable());
        CHECK(backup.pacing.overdue(backup.node, backup.now + 260ms));
        CHECK(backup.pacing.unreachable());
        CHECK_FALSE(backup.pacing.overdue(backup.node, backup.now + 300ms));  // it was found already
        backup.pacing.answered(1, backup.node, backup.now + 301ms);
        CHECK_FALSE(backup.pacing.unreachable());
    }

    TEST_CASE("S7: an answer between the two looks takes the suspicion back") {
        Backup backup;
        backup.send();
        backup.send();
        CHECK_FALSE(backup.pacing.overdue(backup.node, backup.now + 250ms));
        backup.pacing.answered(1, backup.node, backup.now + 255ms);
        CHECK_FALSE(backup.pacing.overdue(backup.node, backup.now + 300ms));
        CHECK_FALSE(backup.pacing.overdue(backup.node, backup.now + 505ms));
        CHECK(backup.pacing.overdue(backup.node, backup.now + 515ms));
    }

    TEST_CASE("S7: an answer that acknowledges nothing new does not end the silence") {
        Backup backup;
        backup.send(5);
        backup.pacing.acknowledged(1, 3, 3, backup.node, backup.now + 200ms);
        CHECK(backup.pacing.waits());
        CHECK_FALSE(backup.pacing.overdue(backup.node, backup.now + 250ms));
        CHECK(backup.pacing.overdue(backup.node, backup.now + 260ms));
        // A part of the entries counts.
        backup.pacing.acknowledged(1, 4, 3, backup.node, backup.now + 270ms);
        CHECK(backup.pacing.waits());
        CHECK_FALSE(backup.pacing.unreachable());
        backup.pacing.acknowledged(1, 5, 4, backup.node, backup.now + 280ms);
        CHECK_FALSE(backup.pacing.waits());
    }

    TEST_CASE("S7: messages beyond those that are tracked are silent since the oldest of them") {
        Backup backup;
        for (int n = 0; n < 255; ++n) backup.send();
        backup.send(5);
        backup.now += 100ms;
        backup.send(5);
        backup.pacing.acknowledged(backup.last, 0, 0, backup.node, backup.now);  // but not the entries
        CHECK_FALSE(backup.pacing.overdue(backup.node, backup.now + 149ms));
        CHECK_FALSE(backup.pacing.overdue(backup.node, backup.now + 150ms));
        CHECK(backup.pacing.overdue(backup.node, backup.now + 160ms));
    }

    TEST_CASE("a refusal of what was sent before a restart is out of date") {
        Backup backup;
        backup.send();
        backup.flush();
        CHECK_FALSE(backup.pacing.must_send());
        CHECK_FALSE(backup.pacing.is_outdated(1));
        backup.pacing.restart();
        CHECK(backup.pacing.take_restart(backup.last));
        CHECK(backup.pacing.must_send());
        CHECK(backup.pacing.is_outdated(1));
        CHECK_FALSE(backup.pacing.is_outdated(2));
        CHECK_FALSE(backup.pacing.take_restart(backup.last));  // once
        backup.pacing.end_flush();
        CHECK_FALSE(backup.pacing.must_send());
    }

    TEST_CASE("the window grows with what is acknowledged and is small again after a resend") {
        Backup backup;
        ReplicaOptions options;
        options.append_bytes = 1000;
        options.window_bytes = 5000;
        CHECK(backup.pacing.window(options) == 1000);
        backup.pacing.widen(500);
        CHECK(backup.pacing.window(options) == 1500);
        backup.pacing.widen(100'000);
        CHECK(backup.pacing.window(options) == 5000);
        backup.send();
        CHECK(backup.pacing.take_resend(backup.node, backup.now + 25ms));
        CHECK(backup.pacing.window(options) == 1000);
    }

    TEST_CASE("a broken connection is not followed by a message at once") {
        Backup backup;
        backup.pacing.disconnected(backup.node, backup.now);
        CHECK(backup.pacing.waits());  // or nothing would be sent again
        CHECK_FALSE(backup.pacing.take_resend(backup.node, backup.now + 24ms));
        CHECK(backup.pacing.take_resend(backup.node, backup.now + 25ms));
    }
}
