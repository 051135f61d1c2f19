// What a primary knows of a backup's log: the progress alone, without a group.
#include <doctest/doctest.h>

#include <understudy/replica/backup_progress.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::replica;

TEST_SUITE("backup_progress") {
    namespace {
    Log log_of(Index entries) {
        Log log;
        for (Index index = 1; index <= entries; ++index) {
            Entry entry;
            entry.at = {1, index};
            log.append(entry);
        }
        return log;
    }
    /// A backup that follows the log and was sent all of it.
    BackupProgress sent_all(const Log& log) {
        BackupProgress progress{false};
        progress.resume_after(0);
        progress.sent_append(log.last().index, 0);
        progress.end_flush(true, log.last().index);
        return progress;
    }
    }  // namespace

    TEST_CASE("S4: the commit throttle starts at what is under way and loses half of what is acknowledged") {
        const auto log = log_of(100);
        auto progress = sent_all(log);
        CHECK(progress.sent_whole_log());
        CHECK(progress.commit_limit() == 100);
        CHECK(progress.acknowledged({1, 40, 0}, log) == log.bytes(0, 40));
        CHECK(progress.match() == 40);
        CHECK(progress.commit_limit() == 100);  // 60 entries behind, and the allowance of 80 is at most that
        CHECK(progress.acknowledged({1, 60, 0}, log) == log.bytes(40, 60));
        CHECK(progress.commit_limit() == 100);
        auto longer = log_of(200);
        progress.sent_append(200, 0);
        progress.acknowledged({1, 100, 0}, longer);
        CHECK(progress.commit_limit() == 120);
        progress.acknowledged({1, 120, 0}, longer);
        CHECK(progress.commit_limit() == 130);
    }

    TEST_CASE("S4: what a backup says that it has is no acknowledgement") {
        const auto log = log_of(10);
        BackupProgress progress{false};
        progress.resume_after(7);
        CHECK(progress.match() == 0);
        CHECK(progress.sent() == 7);
        CHECK(progress.acknowledged({1, 10, 0}, log) == log.bytes(7, 10));
        CHECK(progress.match() == 10);
        progress.resume_after(8);  // what it once acknowledged it has
        CHECK(progress.resume() == 10);
    }

    TEST_CASE("S6: a new view keeps the match and forgets what was sent and confirmed in the old one") {
        const auto log = log_of(10);
        auto progress = sent_all(log);
        progress.acknowledged({1, 4, 0}, log);
        progress.sent_append(10, 3);
        progress.acknowledged({1, 4, 3}, log);
        CHECK(progress.round_acknowledged() == 3);
        progress.enter_view(true);
        CHECK(progress.in_sync());
        CHECK(progress.match() == 4);
        CHECK(progress.sent() == 4);
        CHECK_FALSE(progress.knows_view());
        CHECK(progress.round_acknowledged() == 0);
        progress.acknowledged({2, 4, 3}, log);
        CHECK(progress.round_acknowledged() == 0);  // a round that was not sent in this view confirms nothing
    }

    TEST_CASE("S6: a backup whose connection broke may have restarted and is told the view again") {
        const auto log = log_of(10);
        auto progress = sent_all(log);
        progress.acknowledged({1, 4, 0}, log);
        CHECK(progress.knows_view());
        progress.disconnected();
        CHECK_FALSE(progress.knows_view());
        CHECK(progress.match() == 4);
    }

    TEST_CASE("S7: what was trimmed and not acknowledged is under way") {
        auto log = log_of(10);
        auto progress = sent_all(log);
        progress.measure(log);
        const auto all = log.bytes(0, 10);
        CHECK(progress.bytes_under_way(log) == all);
        log.trim(6);
        progress.measure(log);
        CHECK(progress.bytes_under_way(log) == all);
    }
}
