// Slow disks: a backup's delay is compared with that of the primary's own disk.
#include <doctest/doctest.h>

#include "../support/replica_group.hpp"

using namespace understudy;
using namespace understudy::test;
using namespace std::chrono_literals;

TEST_SUITE("replica_slow_disks") {
    namespace {
    /// Two servers in sync whose journals become stable only when a test says so.
    ReplicaGroup pair() {
        ReplicaGroup group;
        for (const auto* name : {"a", "b"}) group.start_with_journal(name, static_cast<std::uint64_t>(*name));
        group.decide(group.member("a"), {group.member("b", true)});
        group.settle();
        group.keep_up = false;
        return group;
    }
    }  // namespace

    TEST_CASE("S7: a backup whose disk is as slow as that of the primary is not unreachable") {
        auto group = pair();
        group.put("a", "x");
        group.pass(300ms);
        CHECK(group.count<BackupUnreachable>() == 0);  // the primary has not stored it either
        group.persist("a");
        group.pass(300ms);
        CHECK(group.count<BackupUnreachable>() == 0);  // the backup may have had another sync in progress
        group.persist("b");
        group.pass(50ms);
        CHECK(group["a"].state().commit == group["a"].state().log.last().index);
        group.put("a", "y");  // now the disk of the backup hangs
        group.pass(300ms);
        group.persist("a");
        group.pass(500ms);
        CHECK(group.count<BackupUnreachable>() == 0);
        group.pass(300ms);
        CHECK(group.count<BackupUnreachable>() == 1);
    }

    TEST_CASE("S7: a backup that hangs is unreachable after D/2 where the disk of the primary is fast") {
        auto group = pair();
        group.put("a", "x");
        group.pass(1ms);
        group.persist("a");
        group.pass(248ms);
        CHECK(group.count<BackupUnreachable>() == 0);
        group.pass(20ms);
        CHECK(group.count<BackupUnreachable>() == 1);
    }

    TEST_CASE("S7: a disk that hangs on both sides does not keep a hung backup for ever") {
        auto group = pair();
        group.put("a", "x");
        group.pass(4900ms);
        CHECK(group.count<BackupUnreachable>() == 0);
        group.pass(200ms);
        CHECK(group.count<BackupUnreachable>() == 1);  // after ten times D
    }
}
