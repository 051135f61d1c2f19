// The view service's nine scenarios as one sequence, driven by pings through its message interface. Clerks 1 to 3 stand
// for servers. Each test case runs the sequence up to its own part, so each also runs alone.
#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <asio/detached.hpp>

#include <tests/support/harness.hpp>
#include <understudy/protocol/call_id.hpp>
#include <understudy/view_service.hpp>
#include <understudy/wire/json.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::view_service;
using namespace understudy::test;
using namespace std::chrono_literals;

TEST_SUITE("viewservice") {
    namespace {

    constexpr Duration I = 100ms;
    constexpr Duration D = 5 * I;

    /// A clerk that stands for a server: it pings when the scenario says so, and records the view service's answers.
    class StandIn {
    public:
        StandIn(SimHarness& harness, std::string name, Address view_service)
            : name_{std::move(name)},
              view_service_{std::move(view_service)},
              transport_{std::make_shared<SimTransport>(harness.dial(name_))} {
            harness_ = &harness;
            asio::co_spawn(harness.executor(), listen(transport_, heard_), asio::detached);
        }
        StandIn(StandIn&&) = default;
        ~StandIn() {
            if (transport_) transport_->close();
        }

        const std::string& name() const { return name_; }
        const View& view() const { return heard_->info.view; }

        /// Pings as a healthy server does: with the current view and, as primary, with every backup in sync.
        void ping_current() {
            std::vector<Address> synced;
            for (const auto& backup : view().backups) synced.push_back(backup.name);
            ping(view().number, view().primary.name == name_ ? std::optional{synced} : std::nullopt);
        }
        void ping_zero() { ping(0, {}); }
        /// Starts a new process under the same name, without any state.
        void restart() { ++life_; }

    private:
        struct Heard {
            ViewInfo info;
        };

        void ping(ViewNumber viewnum, std::optional<std::vector<Address>> synced) {
            Ping ping;
            ping.group = "main";
            ping.server = name_;
            ping.incarnation = Incarnation{life_ * 10 + static_cast<std::uint64_t>(name_[0] - '0')};
            ping.n = ++n_;
            ping.viewnum = viewnum;
            ping.synced = std::move(synced);
            if (viewnum != 0) ping.cluster = heard_->info.cluster;
            transport_->send(view_service_, wire::encode(make_call_id(Method::view_ping, n_), ping));
        }
        static asio::awaitable<void> listen(std::shared_ptr<SimTransport> transport, std::shared_ptr<Heard> heard) {
            for (;;) {
                TransportEvents arrivals = co_await transport->next(never);
                for (auto& arrival : arrivals)
                    if (auto* message = std::get_if<Delivered>(&arrival)) note(*message, *heard);
            }
        }
        static void note(const Delivered& message, Heard& heard) {
            auto decoded = std::get<wire::Decoded>(wire::decode(message.payload));
            if (auto* answer = std::get_if<PingResult>(&decoded.message)) heard.info = answer->info;
            if (auto* push = std::get_if<ViewChanged>(&decoded.message)) heard.info = push->info;
        }

        std::string name_;
        Address view_service_;
        std::shared_ptr<SimTransport> transport_;
        SimHarness* harness_;
        std::shared_ptr<Heard> heard_ = std::make_shared<Heard>();
        std::uint64_t life_ = 1;
        std::uint64_t n_ = 0;
    };

    /// What each of the three does in a ping interval: nothing, ping as a healthy server, or ping as a server without a
    /// view.
    enum class Act { silent, current, zero };

    struct Scenario {
        explicit Scenario(SimHarness& world) : harness{world}, views{world.listen("sim://views")} {
            views.async_run(asio::detached);
        }

        SimHarness& harness;
        ViewService<SimTransport> views;
        std::array<StandIn, 3> servers{StandIn{harness, "1", views.local()}, StandIn{harness, "2", views.local()},
                                       StandIn{harness, "3", views.local()}};

        View view() const { return views.view().view; }
        StandIn& operator[](int n) { return servers[static_cast<std::size_t>(n - 1)]; }

        void tick(std::array<Act, 3> acts) {
            for (std::size_t n = 0; n < 3; ++n) {
                if (acts[n] == Act::current) servers[n].ping_current();
                if (acts[n] == Act::zero) servers[n].ping_zero();
            }
            harness.pass(I);
        }
        template <typename Condition>
        bool until(std::array<Act, 3> acts, Condition condition, Duration limit) {
            for (Duration passed{}; !condition(); passed += I) {
                if (passed > limit) return false;
                tick(acts);
            }
            return true;
        }
        bool is(ViewNumber number, const std::string& primary, const std::string& backup) const {
            auto now = view();
            auto backup_is = now.backups.empty() ? "" : now.backups.front().name;
            return now.number == number && now.primary.name == primary && backup_is == backup &&
                   now.backups.size() <= 1;
        }

        using enum Act;

        void first_primary() {
            CHECK(view().number == 0);
            CHECK(until(
                {zero, silent, silent}, [&] { return is(1, "1", "") && (*this)[1].view() == view(); }, 2 * D));
        }
        void first_backup() {
            auto before = view().number;
            CHECK(until(
                {current, zero, silent}, [&] { return is(before + 1, "1", "2"); }, 2 * D));
        }
        void backup_takes_over() {
            tick({current, current, silent});
            auto before = view().number;
            CHECK(until(
                {silent, current, silent}, [&] { return is(before + 1, "2", ""); }, 2 * D));
        }
        void restarted_becomes_backup() {
            auto before = view().number;
            (*this)[1].restart();
            CHECK(until(
                {zero, current, silent}, [&] { return is(before + 1, "2", "1"); }, 2 * D));
        }
        void idle_becomes_backup() {
            tick({current, current, silent});
            tick({current, current, zero});
            auto before = view().number;
            CHECK(until(
                {current, silent, zero}, [&] { return view().number > before; }, 2 * D));
            CHECK(is(before + 1, "1", "3"));
        }
        void restarted_primary_is_dead() {
            tick({current, silent, current});
            tick({current, silent, current});
            CHECK(view().backup("3")->synced);
            (*this)[1].restart();
            CHECK(until(
                {zero, silent, current}, [&] { return view().primary.name == "3"; }, 2 * D));
        }
        void dead_backup_is_removed() {
            until(
                {silent, silent, current}, [&] { return view().backups.empty(); }, 3 * D);
            CHECK(view().primary.name == "3");
            CHECK(view().backups.empty());
            tick({silent, silent, current});
        }
        void waits_for_ack() {
            (*this)[1].restart();
            auto before = view().number;
            tick({zero, silent, silent});
            REQUIRE(is(before + 1, "3", "1"));
            auto stays = view();
            for (Duration passed{}; passed < 3 * D; passed += I) {
                tick({current, silent, silent});
                CHECK(view() == stays);
            }
        }
        void uninitialized_is_never_primary() {
            for (Duration passed{}; passed < 2 * D; passed += I) tick({current, zero, current});
            CHECK(view().primary.name == "3");
            for (Duration passed{}; passed < 2 * D; passed += I) {
                tick({silent, zero, silent});
                CHECK(view().primary.name != "2");
            }
        }

        static constexpr std::array parts{&Scenario::first_primary,
                                          &Scenario::first_backup,
                                          &Scenario::backup_takes_over,
                                          &Scenario::restarted_becomes_backup,
                                          &Scenario::idle_becomes_backup,
                                          &Scenario::restarted_primary_is_dead,
                                          &Scenario::dead_backup_is_removed,
                                          &Scenario::waits_for_ack,
                                          &Scenario::uninitialized_is_never_primary};
    };

    void play(std::size_t through) {
        in_simulation([through](SimHarness& harness) {
            Scenario scenario{harness};
            for (std::size_t part = 0; part < through; ++part) (scenario.*Scenario::parts[part])();
        });
    }

    }  // namespace

    TEST_CASE("First Primary") { play(1); }
    TEST_CASE("First Backup") { play(2); }
    TEST_CASE("Backup takes over if primary fails") { play(3); }
    TEST_CASE("Restarted server becomes backup") { play(4); }
    TEST_CASE("Idle third server becomes backup if primary fails") { play(5); }
    TEST_CASE("Restarted primary treated as dead") { play(6); }
    TEST_CASE("Dead backup is removed from view") { play(7); }
    TEST_CASE("Viewserver waits for primary to ack view") { play(8); }
    TEST_CASE("Uninitialized server can't become primary") { play(9); }
}
