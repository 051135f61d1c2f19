// ViewStateMachine with random events: servers ping, hang, restart, hand over and are disconnected, in any order. After
// each step the test checks what must hold for every two consecutive views. Fixed seeds, so a failure can be repeated.
#include <doctest/doctest.h>

#include <set>

#include <tests/support/view_harness.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::view_service;
using namespace understudy::client;
using namespace understudy::test;

TEST_SUITE("core/view_random") {
    namespace {

    class Chance {
    public:
        explicit Chance(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}
        std::uint64_t below(std::uint64_t bound) {
            state_ ^= state_ << 13;
            state_ ^= state_ >> 7;
            state_ ^= state_ << 17;
            return (state_ >> 11) % bound;
        }
        bool one_in(std::uint64_t n) { return below(n) == 0; }

    private:
        std::uint64_t state_;
    };

    /// Five servers that follow the protocol, as far as the random faults allow, and a view service that is checked.
    class Play {
    public:
        explicit Play(std::uint64_t seed)
            : wanted_(seed % 4), chance_(seed), harness_(ViewOptions{.backups = wanted_}) {
            harness_.machine.track_changes({});
        }

        void step() {
            auto name = names_[chance_.below(names_.size())];
            auto before = harness_.view();
            if (!act(name)) check(before, harness_.view());
            waits_ += harness_.emitted<GroupWaits>().size();
            harness_.clear();
            store();
        }
        ViewNumber views() const { return harness_.view().number; }
        std::size_t forces() const { return forces_; }
        std::size_t waits() const { return waits_; }
        std::size_t writes() const { return writes_; }

    private:
        /// A store that receives only changes must have the whole record after each step.
        void store() {
            if (harness_.machine.has_changes()) {
                apply(stored_, harness_.machine.changes());
                harness_.machine.changes_stored();
                ++writes_;
            }
            REQUIRE(stored_ == harness_.machine.record());
        }

        /// One event. Returns true if it was the passing of time, in which each view is checked as it is decided.
        bool act(const Address& name) {
            switch (chance_.below(16)) {
                case 0: pass(Duration{chance_.below(30) * 1'000'000}); return true;
                case 1: pass(Duration{chance_.below(300) * 1'000'000}); return true;
                case 2: pass(chance_.one_in(4) ? 2 * dead : Duration{}); return true;
                case 3:
                    if (chance_.one_in(3)) restart(name);
                    break;
                case 4: harness_.disconnected("conn:" + name); break;
                case 5: harness_.probed(name, ProbeResult{static_cast<int>(chance_.below(3))}); break;
                case 6: overtaken(); break;
                case 7: wish(name); break;
                case 8: stall(); break;
                default: ping(name);
            }
            return false;
        }
        void restart(const Address& name) {
            harness_.restart(name);
            adopted_[name] = 0;
        }
        void ping(const Address& name) {
            const auto& view = harness_.view();
            Said said;
            bool leads =
                view.number != 0 && view.primary.name == name && view.primary.incarnation == harness_.incarnation(name);
            if (leads && adopted_[name] == view.number) {
                said.synced.emplace();
                for (const auto& backup : view.backups) {
                    if (!chance_.one_in(3)) said.synced->push_back(backup.name);
                    if (chance_.one_in(40)) said.unreachable.push_back(backup.name);
                }
                said.stopped = chance_.one_in(30);
            }
            said.leaving = chance_.one_in(40);
            if (said.leaving) said.stopped = chance_.one_in(2);
            auto ping = harness_.make_ping(name, adopted_[name], said);
            if (chance_.one_in(10)) kept_.push_back(ping);  // arrives later
            if (chance_.one_in(20)) return;                 // lost
            auto answer = harness_.call("conn:" + name, ping);
            if (auto* result = std::get_if<PingResult>(&answer); result && !chance_.one_in(5))
                adopted_[name] = std::max(adopted_[name], result->info.view.number);
        }
        void overtaken() {
            if (kept_.empty()) return;
            harness_.call("conn:late", kept_[chance_.below(kept_.size())]);
            if (kept_.size() > 20) kept_.erase(kept_.begin());
        }
        void wish(const Address& name) {
            if (chance_.one_in(2))
                harness_.call("operator", ViewPromote{"main", name});
            else if (chance_.one_in(3))
                harness_.call("operator", ViewForce{"main", name});
        }
        void stall() {
            harness_.now += Duration{chance_.below(3000) * 1'000'000};
            harness_.wake();
        }
        /// Lets time pass one deadline at a time, so that no view is missed.
        void pass(Duration length) {
            auto end = harness_.now + length;
            while (harness_.machine.deadline() <= end) {
                auto before = harness_.view();
                harness_.now = std::max(harness_.now, harness_.machine.deadline());
                harness_.wake();
                check(before, harness_.view());
            }
            harness_.now = end;
        }

        void check(const View& before, const View& next) {
            if (next == before) return;
            auto decided = harness_.emitted<ViewDecided>();
            std::set<Address> names{next.primary.name};
            for (const auto& backup : next.backups) names.insert(backup.name);
            REQUIRE(names.size() == next.backups.size() + 1);  // no name occurs twice
            REQUIRE(next.backups.size() <= wanted_);
            if (next.number == before.number) return check_grown(before, next);
            REQUIRE(next.number == before.number + 1);
            REQUIRE(!decided.empty());
            auto why = decided.back().why;
            bool forced = why.starts_with("force");
            forces_ += forced;
            REQUIRE((next.forced == next.number) == forced);
            if (!forced) REQUIRE(next.forced == before.forced);
            if (forced || why.starts_with("R0")) {
                REQUIRE(next.backups.empty());
                return;
            }
            const auto* old = before.member(next.primary.name);
            REQUIRE(old);
            REQUIRE(old->incarnation == next.primary.incarnation);
            bool same = old == &before.primary;
            // The ping that says `stopped` may bring a backup in sync in the same step (R6).
            if (!same) REQUIRE((old->synced || why.starts_with("R6")));
            for (const auto& backup : next.backups) {
                const auto* was = before.backup(backup.name);
                if (!was || was->incarnation != backup.incarnation) REQUIRE(!backup.synced);
            }
        }
        /// Within one view `synced` only grows and the rest is fixed.
        void check_grown(const View& before, const View& next) {
            auto grown = before;
            for (auto& backup : grown.backups) backup.synced = backup.synced || next.backup(backup.name)->synced;
            REQUIRE(grown == next);
        }

        std::size_t wanted_;
        Chance chance_;
        ViewHarness harness_;
        std::vector<Address> names_{"a", "b", "c", "d", "e"};
        std::map<Address, ViewNumber> adopted_;
        std::vector<Ping> kept_;
        std::size_t forces_ = 0;
        std::size_t waits_ = 0;
        ViewRecord stored_;
        std::size_t writes_ = 0;
    };

    }  // namespace

    TEST_CASE("R0 to R6: in 300 plays of 2000 events every view follows by the rules and is stored by its changes") {
        ViewNumber views = 0;
        std::size_t forces = 0;
        std::size_t waits = 0;
        std::size_t writes = 0;
        for (std::uint64_t seed = 1; seed <= 300; ++seed) {
            CAPTURE(seed);
            Play play(seed);
            for (int i = 0; i < 2000; ++i) play.step();
            views += play.views();
            forces += play.forces();
            waits += play.waits();
            writes += play.writes();
        }
        CHECK(views > 3000);  // otherwise the runs tested nothing
        CHECK(forces > 100);
        CHECK(waits > 300);
        CHECK(writes > views);
        CHECK(writes < 300 * 2000 / 2);  // most pings change nothing that has to be stored
    }
}
