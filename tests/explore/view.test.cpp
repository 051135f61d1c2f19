// The view service's rules, exhaustively: the decision table over every group state, and the state machine with three
// servers over every order of events within bounds.
#include <doctest/doctest.h>

#include "bounds.hpp"
#include "explored_views.hpp"

using namespace understudy;
using namespace understudy::view_service;
using namespace understudy::test;

TEST_SUITE("explore/view") {
    namespace {

    /// Calls `visit` with every group state of a primary and up to two backups, wanted or not, and one idle server.
    template <typename Visit>
    void each_situation(Visit visit) {
        using view_service::Health, view_service::Loss;
        std::vector<view_service::MemberState> seats;
        for (bool synced : {false, true})
            for (auto health : {Health::ok, Health::suspect, Health::dead})
                for (bool unreachable : {false, true}) {
                    auto loss = health == Health::dead ? Loss::silent : Loss::none;
                    seats.push_back({{"", {}, synced}, health, loss, unreachable, {}});
                }
        auto with_backups = [&](std::vector<view_service::MemberState> backups) {
            view_service::GroupState now;
            now.view.number = 5;
            for (std::size_t i = 0; i < backups.size(); ++i) {
                backups[i].member.name = i == 0 ? "b" : "c";
                backups[i].member.incarnation = Incarnation{2 + i};
                now.view.backups.push_back(backups[i].member);
            }
            now.view.primary = {"a", Incarnation{1}, false};
            now.backups = backups;
            for (int rest = 0; rest < 3 * 2 * 2 * 3 * 3 * 2; ++rest) {
                auto digit = [left = rest](int base) mutable { return std::exchange(left, left / base) % base; };
                auto health = Health(digit(3));
                now.primary = {now.view.primary, health, health == Health::dead ? Loss::silent : Loss::none, false, {}};
                now.acked = digit(2) && now.view.synced_count() == backups.size();
                now.stopped = digit(2) && health != Health::dead;
                now.idle.clear();
                if (auto idle = digit(3)) now.idle.push_back({{"d", Incarnation{9}, false}, idle == 2});
                now.successor = std::array{"", "b", "c"}[static_cast<std::size_t>(digit(3))];
                if (digit(2) && health == Health::dead) now.primary.recovered = Member{"a", Incarnation{8}, false};
                for (now.wanted = 0; now.wanted <= 2; ++now.wanted) visit(now);
            }
        };
        with_backups({});
        for (const auto& one : seats) {
            with_backups({one});
            for (const auto& other : seats) with_backups({one, other});
        }
    }

    /// The group state right after that view was decided, if nothing else happens.
    view_service::GroupState after(const view_service::GroupState& now, const View& next) {
        auto seat = [&](const Member& member) -> view_service::MemberState {
            auto was =
                std::ranges::find(now.backups, member.incarnation, [](const auto& s) { return s.member.incarnation; });
            bool same = next.primary.incarnation == now.view.primary.incarnation;
            if (member.incarnation == now.primary.member.incarnation) return now.primary;
            if (was == now.backups.end())
                return {member, view_service::Health::ok, view_service::Loss::none, false, {}};
            return {member, was->health, was->loss, same && was->unreachable, {}};
        };
        view_service::GroupState result;
        result.view = next;
        result.wanted = now.wanted;
        result.primary = seat(next.primary);
        for (const auto& backup : next.backups) result.backups.push_back(seat(backup));
        for (const auto& idle : now.idle)
            if (!next.member(idle.member.name)) result.idle.push_back(idle);
        return result;
    }

    }  // namespace

    TEST_CASE("R1 to R6: in every situation the table gives a view that may follow and is then at rest") {
        std::size_t situations = 0, decided = 0;
        each_situation([&](const view_service::GroupState& now) {
            ++situations;
            auto decision = view_service::decide(now);
            if (!decision) return;
            ++decided;
            const auto& next = decision->next;
            bool recovers = decision->why.starts_with("R5");
            if (recovers != (view_service::waits(now) && now.primary.recovered))
                FAIL("R5 although somebody holds everything");
            if (!view_service::may_follow(now.view, next, recovers)) FAIL(decision->why);
            const auto* successor = now.view.backup(next.primary.name);
            if (successor && !successor->synced) FAIL("promoted without being in sync: " << decision->why);
            for (const auto& backup : next.backups) {
                const auto* was = now.view.backup(backup.name);
                if (backup.synced && !(was && was->synced)) FAIL("in sync from nowhere: " << decision->why);
            }
            if (auto further = view_service::decide(after(now, next))) FAIL(decision->why << ", then " << further->why);
        });
        MESSAGE(situations << " situations, of which " << decided << " lead to a view");
        CHECK(situations > 30'000);
        CHECK(decided > 10'000);
    }
    TEST_CASE("R4: a situation without a way out is one in which nobody holds every answered write") {
        std::size_t dead_ends = 0;
        each_situation([&](const view_service::GroupState& now) {
            auto suspect = [](const view_service::MemberState& seat) {
                return seat.health == view_service::Health::suspect;
            };
            // the silence is decided soon
            if (suspect(now.primary) || std::ranges::any_of(now.backups, suspect)) return;
            bool works = now.primary.health == view_service::Health::ok && !now.stopped;
            if (works || view_service::decide(now)) return;
            ++dead_ends;
            if (!view_service::waits(now)) FAIL("no way out of " << describe(now.view));
            if (now.primary.health != view_service::Health::dead) FAIL("waits for a primary that lives");
            for (const auto& seat : now.backups)
                if (seat.member.synced && seat.health != view_service::Health::dead)
                    FAIL("waits although an successor lives");
        });
        CHECK(dead_ends > 100);
    }
    TEST_CASE("R0 to R6: within bounds no order of events breaks a law of views or leaves a group without a way out") {
        std::size_t waits = 0;
        auto look = [&](const std::string& what, std::size_t backups, bool at_rest, ViewBudget budget,
                        std::size_t states) {
            ExploredViews model{backups};
            auto start = at_rest ? model.at_rest(budget) : model.start(budget);
            auto found = sim::explore(model, start, explore_bounds(states));
            MESSAGE(what << ": " << describe(found) << "; highest view " << model.highest());
            CHECK_MESSAGE(found.ok(), describe(found));
            CHECK(model.highest() > 2);
            waits += model.waits();
            return found.end;
        };
        auto one = [&](std::uint8_t ViewBudget::*what) {
            ViewBudget budget{0, 0, 0, 0, 0};
            budget.*what = 1;
            return budget;
        };
        std::vector<sim::ExploreEnd> ends{look("one dies or restarts", 1, true, one(&ViewBudget::restarts), 15'000),
                                          look("one is reported", 1, true, one(&ViewBudget::reports), 15'000),
                                          look("one leaves", 1, true, one(&ViewBudget::leaves), 25'000),
                                          look("an operator wishes", 1, true, one(&ViewBudget::wishes), 15'000)};
        if (explores_fully())
            CHECK(std::ranges::count(ends, sim::ExploreEnd::exhausted) == static_cast<long>(ends.size()));
        look("the record goes back to an earlier one", 1, true, {1, 1, 1, 0, 0, 1}, 25'000);
        look("two die or restart and two are silent", 1, true, {2, 2, 0, 0, 0}, 25'000);
        look("anything from nothing", 1, false, {}, 25'000);
        look("anything with two backups", 2, true, {}, 25'000);
        CHECK(waits > 10);
    }
}
