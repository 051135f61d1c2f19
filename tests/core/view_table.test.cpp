// The decision table by itself, in every group state of up to two backups and two idle servers.
#include <doctest/doctest.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

#include <understudy/view_service/decision_table.hpp>

using namespace understudy;
using namespace understudy::view_service;

TEST_SUITE("view_service/decision_table") {
    namespace {

    constexpr Health healths[] = {Health::ok, Health::suspect, Health::dead};

    MemberState seat(const Address& name, std::uint64_t token, Health health, bool synced = false,
                     bool unreachable = false) {
        MemberState result{{name, Incarnation{token}, synced}, health, Loss::none, unreachable, {}};
        if (health == Health::dead) result.loss = Loss::silent;
        return result;
    }

    /// Calls `look` with every group state of a view with that many backups.
    void every_situation(std::size_t backups, const std::function<void(const GroupState&)>& look) {
        std::size_t seats = 1;
        for (std::size_t i = 0; i < backups; ++i) seats *= 12;
        for (std::size_t bits = 0; bits < seats * 3 * 2 * 2 * 3 * 5; ++bits) {
            auto rest = bits;
            auto draw = [&rest](std::size_t bound) {
                auto value = rest % bound;
                rest /= bound;
                return value;
            };
            GroupState now;
            now.primary = seat("p", 1, healths[draw(3)]);
            now.acked = draw(2);
            now.stopped = draw(2) && now.primary.health != Health::dead;
            now.wanted = draw(3);
            auto idle = draw(5);
            if (idle > 0) now.idle.push_back({{"x", Incarnation{10}, false}, idle % 2 == 0});
            if (idle > 2) now.idle.push_back({{"y", Incarnation{11}, false}, false});
            for (std::size_t i = 0; i < backups; ++i) {
                auto health = healths[draw(3)];
                bool synced = draw(2);
                now.backups.push_back(seat(i == 0 ? "b" : "c", 2 + i, health, synced, draw(2)));
            }
            now.view = {7, now.primary.member, {}, 3};
            for (const auto& one : now.backups) now.view.backups.push_back(one.member);
            look(now);
        }
    }

    }  // namespace

    TEST_CASE("R1 to R6: every situation gives a view that may follow and is at rest or none at all") {
        std::size_t views = 0;
        for (std::size_t backups = 0; backups <= 2; ++backups) {
            every_situation(backups, [&](const GroupState& now) {
                auto decision = decide(now);
                if (!decision) return;
                ++views;
                const auto& next = decision->next;
                REQUIRE(may_follow(now.view, next, false));
                REQUIRE(next.forced == 3);
                REQUIRE(next.backups.size() <= now.wanted);
                for (const auto& backup : next.backups) {
                    const auto* before = now.view.backup(backup.name);
                    REQUIRE(backup.synced == (before && before->synced));  // only the ack makes a backup synced
                }
                for (const auto& old : now.backups)
                    if (old.health == Health::dead) REQUIRE(!next.member(old.member.name));
            });
        }
        CHECK(views > 10'000);
    }

    TEST_CASE("R4: with the primary dead there is a view exactly if a synced backup is ok") {
        for (std::size_t backups = 0; backups <= 2; ++backups) {
            every_situation(backups, [&](const GroupState& now) {
                if (now.primary.health != Health::dead) return;
                REQUIRE(decide(now).has_value() == (find_successor(now) != nullptr));
                if (waits(now)) REQUIRE(!find_successor(now));
            });
        }
    }

    TEST_CASE("A suspect primary is neither replaced nor given backups") {
        every_situation(2, [&](const GroupState& now) {
            if (now.primary.health == Health::suspect && !now.stopped) REQUIRE(!decide(now));
        });
    }

    TEST_CASE("R3: a later process under the name of a member that may live does not sit beside it") {
        for (const auto health : {Health::ok, Health::suspect}) {
            GroupState now;
            now.primary = seat("p", 1, Health::ok);
            now.acked = true;
            now.wanted = 2;
            now.backups.push_back(seat("b", 2, health, true));
            now.idle.push_back({{"b", Incarnation{10}, false}, false});
            now.view = {7, now.primary.member, {now.backups[0].member}, 0};
            CHECK_FALSE(decide(now));
            now.idle.push_back({{"x", Incarnation{11}, false}, false});
            REQUIRE(decide(now));
            CHECK(decide(now)->next.backups[1].name == "x");
        }
    }

    TEST_CASE("R3: a view that is not acked gets no further backup") {
        every_situation(1, [&](const GroupState& now) {
            if (now.acked || now.primary.health != Health::ok || now.stopped) return;
            auto decision = decide(now);
            bool surplus = now.wanted == 0 && now.backups[0].health == Health::ok;
            bool changed = now.backups[0].health == Health::dead || now.backups[0].unreachable || surplus;
            REQUIRE(decision.has_value() == changed);
        });
    }

    TEST_CASE("R2: an idle server fills in for a new primary but not for one that reported it unreachable") {
        GroupState now;
        now.wanted = 1;
        now.primary = seat("p", 1, Health::ok);
        now.backups = {seat("b", 2, Health::dead, true)};
        now.view = {4, now.primary.member, {now.backups[0].member}, 0};
        now.idle = {{{"x", Incarnation{3}, false}, true}};
        CHECK(decide(now)->next.backups.empty());
        now.primary.health = Health::dead;
        now.backups[0].health = Health::ok;
        CHECK(decide(now)->next.backup("x"));
    }

    TEST_CASE("R6: the backup that was asked for is promoted if it is ok and else the first that is") {
        GroupState now;
        now.primary = seat("p", 1, Health::ok);
        now.backups = {seat("b", 2, Health::ok, true), seat("c", 3, Health::ok, true)};
        now.view = {4, now.primary.member, {now.backups[0].member, now.backups[1].member}, 0};
        now.stopped = true;
        now.wanted = 2;
        now.successor = "c";
        CHECK(decide(now)->next.primary.name == "c");
        now.backups[1].health = Health::dead;
        CHECK(decide(now)->next.primary.name == "b");
        now.backups[0].health = Health::dead;
        CHECK(decide(now)->next.primary.name == "p");
    }

    TEST_CASE("R5: a later life with the state of the old one leads if no other that has it is left") {
        GroupState now;
        now.wanted = 1;
        now.primary = seat("p", 1, Health::dead);
        now.primary.loss = Loss::restarted;
        now.primary.recovered = Member{"p", Incarnation{9}, false};
        now.backups = {seat("b", 2, Health::suspect, true)};
        now.view = {4, now.primary.member, {now.backups[0].member}, 0};
        now.idle = {{*now.primary.recovered, false}};
        CHECK(!decide(now));  // b may be alive
        now.backups[0].health = Health::dead;
        REQUIRE(decide(now));
        CHECK(decide(now)->next.primary == Member{"p", Incarnation{9}, false});
        CHECK(decide(now)->next.backups.empty());
        CHECK(may_follow(now.view, decide(now)->next, true));
        now.backups[0].health = Health::ok;
        CHECK(decide(now)->next.primary.name == "b");  // R1 comes first
    }
}
