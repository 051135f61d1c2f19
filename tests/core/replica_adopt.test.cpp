// A replica whose view service lost its record: what the replica reports of its view, and what state it keeps when a
// view is adopted (S3).
#include <doctest/doctest.h>

#include "../support/replica_group.hpp"

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::test;

TEST_SUITE("replica_adopt") {
    namespace {
    ReplicaGroup pair_with_state() {
        auto group = pair_in_sync();
        group.put("a", "x");
        group.settle();
        group.pass(300ms);
        return group;
    }
    /// The next view is an adopted one.
    void leap(ReplicaGroup& group) {
        group.view.number += 999;
        group.view.forced = group.view.number + 1;
    }
    void refuse_pings(ReplicaGroup& group, error code) {
        for (const auto& [name, server] : group.servers)
            group.give(name, ReplicaGroup::views, "", Failure{"view.ping", code, "no", {}, {}, {}});
        group.pass(150ms);
    }
    }  // namespace

    TEST_CASE("a server says what view it knows while its pings are refused as those of another cluster") {
        auto group = pair_with_state();
        CHECK(!group.pings["a"].known);
        refuse_pings(group, error::wrong_cluster);
        CHECK(group.pings["a"].known == group.info());
        CHECK(group.pings["b"].known == group.info());
        group.give("a", ReplicaGroup::views, "", PingResult{group.info(), 500ms, false});
        group.pass(150ms);
        CHECK(!group.pings["a"].known);
    }
    TEST_CASE("a server refused for another reason or without a view says nothing of it") {
        auto group = pair_with_state();
        refuse_pings(group, error::overloaded);
        CHECK(!group.pings["a"].known);
        group.start("c", 3);
        refuse_pings(group, error::wrong_cluster);
        CHECK(!group.pings["c"].known);
    }
    TEST_CASE("S9: a server that continues a former life says what view that knew") {
        ReplicaGroup group;
        group.start_with_journal("a", 1);
        group.decide(group.member("a"));
        group.settle();
        group.start_with_journal("a", 2);
        group.pass(150ms);
        REQUIRE(group.pings["a"].viewnum == 0);
        refuse_pings(group, error::wrong_cluster);
        CHECK(group.pings["a"].known == group.info());
    }
    TEST_CASE("S3: the primary and the backups in sync of an adopted view keep what they hold and go on") {
        auto group = pair_with_state();
        leap(group);
        group.decide(group.member("a"), {group.member("b", true)});
        group.settle();
        CHECK(group.count<LogTruncated>() == 0);
        group.pass(300ms);
        const auto read = group.query("a");
        group.settle();
        CHECK(group.outcome(read) == "x;");
        group.put("a", "y");
        group.settle();
        group.pass(300ms);
        CHECK(group["a"].store().all == "x;y;");
        CHECK(group["b"].store().all == "x;y;");
    }
    TEST_CASE("S3: a backup in sync may lead the adopted view") {
        auto group = pair_with_state();
        leap(group);
        group.decide(group.member("b"));
        group.settle();
        CHECK(group["b"].store().all == "x;");
        CHECK(group["a"].store().all.empty());  // it may have gone on in a view that is not known
        CHECK(group["a"].role() == Role::idle);
    }
    TEST_CASE("S3: who went on in a later view that was not adopted drops that") {
        auto group = pair_with_state();
        group.start("c", 3);
        const auto before = group.view;
        group.decide(group.member("c"), {}, {"c"});
        group.put("c", "lost");
        CHECK(group["c"].store().all == "lost;");
        group.view = before;
        leap(group);
        group.decide(group.member("a"), {group.member("b", true), group.member("c")});
        group.settle();
        group.pass(300ms);
        CHECK(group["c"].store().all == "x;");
        CHECK(group["b"].store().all == "x;");
    }
    TEST_CASE("S2: a backup that dropped its log does not apply by the commit index that it was told before") {
        for (const bool adopted : {false, true}) {
            auto group = pair_with_state();
            for (const auto* text : {"y", "z"}) group.put("a", text);
            group.settle();
            group.pass(300ms);
            REQUIRE(group["b"].state().commit == 3);  // the commit index that it received from the primary
            group.start("c", 3);
            if (adopted) leap(group);
            else group.view.forced = group.view.number + 1;
            group.decide(group.member("c"), {group.member("b")}, {"b"});
            REQUIRE(group["b"].state().log.last().index == 0);
            std::vector<Entry> entries;
            for (Index index : {1u, 2u, 3u})
                entries.push_back({{group.view.number, index}, EntryKind::command, {}, 0, 0, "new"});
            group.give("b", "c", make_call_id(Method::replica_append, 1),
                       Append{ReplicaGroup::cluster, "main", {group.view.number, {}}, {}, entries, 1, 0});
            CHECK(group["b"].state().log.last().index == 3);
            CHECK(group["b"].state().commit == 1);
            CHECK(group["b"].store().all == "new;");
        }
    }
    TEST_CASE("S9: a server that continues the life that an adopted view names keeps what that held") {
        ReplicaGroup group;
        group.start_with_journal("a", 1);
        group.decide(group.member("a"));
        group.settle();
        group.put("a", "x");
        group.settle();
        const auto former = group.member("a");
        group.start_with_journal("a", 2);
        leap(group);
        group.decide(former);
        CHECK(group["a"].role() == Role::idle);
        CHECK(group["a"].state().log.last().index == 1);
        group.decide(group.member("a"));  // R5
        group.settle();
        const auto read = group.query("a");
        group.settle();
        CHECK(group.outcome(read) == "x;");
    }
}
