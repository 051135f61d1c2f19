// Reads by lease: when a primary may answer from its own state, without a message to its backups.
#include <doctest/doctest.h>

#include "../support/replica_group.hpp"

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::test;
using namespace std::chrono_literals;

TEST_SUITE("replica_lease") {
    namespace {
    /// `a` leads; `b` is in sync but receives nothing any more, so no round of `a` is ever confirmed. D is 500 ms and
    /// the margin 10%: a lease lasts for 450 ms.
    struct Leasing {
        ReplicaGroup group;

        explicit Leasing(Reads reads = Reads::lease) {
            group.options.reads = reads;
            group.start("a", 1);
            group.start("b", 2);
            group.decide(group.member("a"), {group.member("b", true)});
            group.settle();
            group.put("a", "x");
            group.settle();
            group.pass(100ms);
            group.lost = [](auto&, auto& to, auto&) { return to == "b"; };
        }
        PingResult result() { return {group.info(), 500ms, false}; }
        /// The view service answers the last ping of `a`, or the one `before` pings earlier.
        void answer(std::uint64_t before = 0) { answer(result(), before); }
        void answer(PingResult result, std::uint64_t before = 0) {
            const auto n = group.pings["a"].n - before;
            group.give("a", ReplicaGroup::views, make_call_id(Method::view_ping, n), std::move(result));
        }
        bool reads() { return group.outcome(group.query("a")) == "x;"; }
    };

    /// `b` leads with an entry that was uncommitted at takeover. It cannot commit it, because `c` is in sync and
    /// receives nothing. The length of its lease follows from `dead_after`.
    struct Heir {
        ReplicaGroup group;

        explicit Heir(Duration dead_after) {
            group.options.reads = Reads::lease;
            for (const auto* name : {"a", "b", "c"}) group.start(name, ++incarnations);
            group.decide(group.member("a"), {group.member("b", true), group.member("c", true)});
            group.settle();
            group.lost = [](auto&, auto& to, auto&) { return to == "c" || to == "a"; };
            group.put("a", "x");
            group.settle();
            group.decide(group.member("b"), {group.member("c", true)}, {"b"});
            group.give("b", ReplicaGroup::views, make_call_id(Method::view_ping, group.pings["b"].n),
                       PingResult{group.info(), dead_after, false});
        }
        std::uint64_t incarnations = 0;
    };
    }  // namespace

    TEST_CASE("S5: with a lease a read is answered at once and nothing is sent for it") {
        Leasing it;
        CHECK_FALSE(it.reads());
        it.answer();
        it.group.wire.clear();
        CHECK(it.reads());
        CHECK(it.group.wire.empty());
        CHECK(it.group.pings["a"].lease);
    }

    TEST_CASE("S5: without the option no answer gives a lease") {
        Leasing it{Reads::confirm};
        it.answer();
        CHECK_FALSE(it.reads());
        CHECK_FALSE(it.group.pings["a"].lease);
    }

    TEST_CASE("S5: a lease counts from when its ping was sent and is shorter than D by the margin") {
        Leasing it;
        it.group.pass(100ms);
        const auto sent = it.group.now;  // a ping every 100 ms
        REQUIRE(it.group["a"].deadline() > sent);
        it.group.now += 60ms;  // the answer takes that long
        it.answer();
        it.group.now = sent + 449ms;
        CHECK(it.reads());
        it.group.now = sent + 450ms;
        CHECK_FALSE(it.reads());
    }

    TEST_CASE("S5: the answer to an earlier ping gives what that ping is worth and shortens nothing") {
        Leasing it;
        it.group.pass(300ms);
        const auto last = it.group.now;
        it.answer(2);
        it.group.now = last + 249ms;
        CHECK(it.reads());
        it.group.now = last + 250ms;
        CHECK_FALSE(it.reads());
        it.group.now = last;
        it.answer();
        it.answer(1);
        it.group.now = last + 449ms;
        CHECK(it.reads());
    }

    TEST_CASE("S5: the answer to a ping that was never sent or was answered before gives nothing") {
        Leasing it;
        const auto before = it.group.pings["a"].n;
        it.group.give("a", ReplicaGroup::views, make_call_id(Method::view_ping, before + 1), it.result());
        it.group.give("a", ReplicaGroup::views, {}, it.result());
        CHECK_FALSE(it.reads());
    }

    TEST_CASE("S5: an answer that names another view or another primary gives no lease") {
        Leasing it;
        auto older = it.result();
        older.info.view.number -= 1;
        it.answer(older);
        CHECK_FALSE(it.reads());
        auto newer = it.result();
        newer.info.view = View{newer.info.view.number + 1, it.group.member("b"), {it.group.member("a")}};
        it.answer(newer);
        CHECK(it.group.outcome(it.group.query("a")) == "not_primary");
    }

    TEST_CASE("S5: a lease ends with its view and the next one begins with an answer that names the new view") {
        Leasing it;
        it.answer();
        REQUIRE(it.reads());
        it.group.decide(it.group.member("a"), {it.group.member("b", true)}, {"a"});
        CHECK_FALSE(it.reads());
        it.answer();
        CHECK(it.reads());
    }

    TEST_CASE("R6: a primary that is told to stop reads by no lease any more") {
        Leasing it;
        it.answer();
        auto stop = it.result();
        stop.stop = true;
        it.answer(stop);
        CHECK(it.group.outcome(it.group.query("a")) == "not_primary");
    }

    TEST_CASE("S5: a read by lease shows what is committed and nothing that is not") {
        Leasing it;
        it.group.put("a", "y");  // the backup does not receive it
        it.answer();
        CHECK(it.reads());
    }

    TEST_CASE("S5: a new primary with a lease reads nothing before all that it inherited is applied") {
        Heir it{500ms};
        const auto read = it.group.query("b");
        CHECK(it.group.outcome(read) == "none");
        it.group.lost = nullptr;
        it.group.pass(30ms);
        CHECK(it.group.outcome(read) == "x;");
    }

    TEST_CASE("S5: a lease that runs out while a read waits makes way for a round") {
        Heir it{20ms};
        const auto read = it.group.query("b");
        bool round = false;
        it.group.lost = [&](auto&, auto&, auto& message) {
            if (auto* append = std::get_if<Append>(&message)) round = round || append->round != 0;
            return true;
        };
        it.group.pass(17ms);
        CHECK_FALSE(round);
        it.group.pass(10ms);  // the round goes with the next append that is due
        CHECK(round);
        CHECK(it.group.outcome(read) == "none");
    }

    TEST_CASE("S5: a lease does not outlast a sleep of the machine") {
        Leasing it;
        it.answer();
        REQUIRE(it.reads());
        it.group.now += 1h;  // the clock includes the time asleep
        CHECK_FALSE(it.reads());
    }

    TEST_CASE("a margin of nothing or of everything is refused") {
        ReplicaOptions options{.view_service = {"views"}};
        CHECK(options.validate().empty());
        options.lease_margin = 0;
        CHECK(options.validate() == "lease_margin must be 1 to 99 percent");
        options.lease_margin = 100;
        CHECK_FALSE(options.validate().empty());
    }
}
