// A view service and three servers as a model to explore: the servers send what a correct server would send, and die,
// restart, fall silent, leave and are promoted at any moment. No replica runs: only the view service's own invariants
// are checked. It is driven with hand_driver.hpp, but its rules are checked after each step of a turn.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <tests/support/hand_driver.hpp>
#include <understudy/sim/check/explore.hpp>
#include <understudy/view_service/state_machine.hpp>

namespace understudy::test {

using namespace protocol;
using namespace view_service;

/// How often each kind of event may happen on one path.
struct ViewBudget {
    std::uint8_t restarts = 2;  ///< Crashes that the view service can prove, each followed by a restart.
    std::uint8_t silences = 2;
    std::uint8_t reports = 1;  ///< Reports of an unreachable backup (S7).
    std::uint8_t leaves = 1;
    std::uint8_t wishes = 1;  ///< Operator requests: promote or force.
    std::uint8_t restores = 0;  ///< The record is replaced by an earlier copy.
    friend bool operator==(const ViewBudget&, const ViewBudget&) = default;
};

class ExploredViews {
public:
    static constexpr std::size_t count = 3;

    /// What a server process knows, and whether it runs.
    struct Server {
        std::uint32_t view = 0;  // its number in the pool; the first stands for no view
        std::uint8_t incarnation = 0;
        std::uint8_t n = 0;
        std::uint8_t heard = 0;  // one bit for each incarnation whose ping was received
        bool up = false;
        bool all_synced = false;  // as primary: all its backups are in the in-sync set
        bool leaving = false;
        bool stopped = false;
        std::uint64_t said = 0;  // digest of the last ping and of what was known then
        friend bool operator==(const Server&, const Server&) = default;
    };
    struct State {
        std::uint32_t service = 0;
        std::uint32_t fault = 0;
        ViewBudget left;
        std::uint32_t copy = 0;    // of the record: its number in the pool; the first stands for none
        bool went_back = false;    // the record was replaced by that copy
        ViewNumber proved = 0;     // the highest view named by a ping since then that the record lacks
        std::array<Server, count> servers;
        friend bool operator==(const State&, const State&) = default;
    };

    explicit ExploredViews(std::size_t backups) : backups_(backups) {
        views_.insert({}, 0);
        faults_.insert({}, 0);
        copies_.insert({}, 0);
    }

    State start(const ViewBudget& budget) {
        State state;
        Service service{ViewStateMachine{{.backups = backups_, .max_events = 0}, ClusterId{7}, Time{1h}}, Time{1h}};
        state.service = keep(std::move(service));
        state.left = budget;
        return state;
    }

    /// The view service has received pings of all servers, and as many backups as are wanted are in sync and acked.
    State at_rest(const ViewBudget& budget);

    // ---- the model --------------------------------------------------------------------------------------

    std::vector<sim::Successor<State>> successors(const State& state);
    std::optional<std::string> violated(const State& state);
    std::uint64_t digest(const State& state) const {
        auto hash = sim::mix(sim::mix(state.service, state.fault), sim::mix(state.copy, state.proved));
        hash = sim::mix(hash, static_cast<std::uint64_t>(state.left.restores | state.went_back << 4));
        for (auto left :
             {state.left.restarts, state.left.silences, state.left.reports, state.left.leaves, state.left.wishes})
            hash = sim::mix(hash, left);
        for (const auto& server : state.servers) {
            hash = sim::mix(hash, server.view);
            auto flags = server.up | server.all_synced << 1 | server.leaving << 2 | server.stopped << 3;
            hash = sim::mix(hash, static_cast<std::uint64_t>(server.heard << 24 | server.incarnation << 16 |
                                                             server.n << 8 | flags));
            hash = sim::mix(hash, server.said);
        }
        return hash;
    }

    /// How many states needed an operator to end a wait (R4).
    std::size_t waits() const { return waits_; }
    ViewNumber highest() const { return highest_; }

private:
    struct Service {
        ViewStateMachine machine;
        Time now;
        friend bool operator==(const Service&, const Service&) = default;
    };
    class Play;

    static Address name(std::size_t server) { return Address(1, static_cast<char>('a' + server)); }
    static Incarnation token(std::size_t server, int incarnation) {
        return Incarnation{(server + 1) * 100 + static_cast<std::uint64_t>(incarnation)};
    }
    std::uint32_t keep(Service service);
    std::uint32_t keep(const View& view) { return views_.insert(view, sim::mix(view.number, view.synced_count())).id; }

    std::size_t backups_;
    sim::Pool<Service> services_;
    sim::Pool<View> views_;
    sim::Pool<std::string> faults_;
    sim::Pool<ViewRecord> copies_;
    sim::Pool<State> recovered_;
    std::size_t waits_ = 0;
    ViewNumber highest_ = 0;
};

/// Applies several events in a row to a copy of a state, and checks the invariants of views after each.
class ExploredViews::Play {
public:
    enum class Says { known, all_synced, unreachable };

    Play(ExploredViews& model, const State& from)
        : state(from),
          model_(model),
          rules_(model.services_[from.service].machine),
          now_(model.services_[from.service].now) {}

    State state;

    State finish() {
        state.service = model_.keep({std::move(rules_), now_});
        if (!fault_.empty()) state.fault = model_.faults_.insert(fault_, std::hash<std::string>{}(fault_)).id;
        return state;
    }
    const std::string& fault() const { return fault_; }
    const View& view() const { return view_of(rules_.view("main")); }
    const View& known(std::size_t server) const { return model_.views_[state.servers[server].view]; }
    bool leads(std::size_t server) const {
        const auto& primary = known(server).primary;
        return known(server).number != 0 && primary.incarnation == token(server, state.servers[server].incarnation);
    }

    // ---- what servers do ----

    void start(std::size_t server) {
        const auto& old = state.servers[server];
        state.servers[server] = {
            .incarnation = static_cast<std::uint8_t>(old.incarnation + 1), .heard = old.heard, .up = true};
    }
    /// The process dies, its connection breaks and its address refuses a new one.
    void die(std::size_t server) {
        state.servers[server].up = false;
        auto gone = step([&](view_service::Output& out) { rules_.disconnected(connection(server), now_, out); });
        for (const auto& probe : gone.probes)
            step([&](view_service::Output& out) { rules_.probed(probe, ProbeResult::refused, now_, out); });
        end_turn();
    }
    /// Whether such a ping would report, or its answer would bring, anything that the last ping did not.
    bool has_news(std::size_t server, Says says, bool answered = true) const {
        auto said = state.servers[server].said, now = digest_of(make_ping(server, says));
        return said != now && (answered || said != ~now);
    }
    void ping(std::size_t server, Says says, bool answered = true) {
        auto& me = state.servers[server];
        if (says == Says::all_synced) me.all_synced = true;
        ++me.n;
        me.heard |= static_cast<std::uint8_t>(1u << me.incarnation);
        auto ping = make_ping(server, says);
        if (state.went_back && ping.viewnum > view().number && !is_adopted()) state.proved = ping.viewnum;
        auto out = step(
            [&](view_service::Output& effects) {
                rules_.receive({connection(server), "1", ping}, now_, effects);
            },
            &ping);
        end_turn();
        for (const auto& envelope : out.outbox)
            if (const auto* result = std::get_if<PingResult>(&envelope.message); result && answered) {
                adopt(server, result->info.view);
                bool mine = leads(server) && known(server).number == result->info.view.number;
                if (result->stop && mine) me.stopped = true;  // R6
            }
        me.said = answered ? digest_of(ping) : ~digest_of(ping);
    }
    /// Adopts a view as a correct server does (S1).
    void adopt(std::size_t server, const View& next) {
        if (!is_newer(next, known(server))) return;
        auto& me = state.servers[server];
        bool other = next.number != known(server).number;
        me.view = model_.keep(next);
        if (!other) return;
        me.all_synced = false;
        me.stopped = me.leaving && !leads(server);
    }
    void leave(std::size_t server) {
        state.servers[server].leaving = true;
        state.servers[server].stopped |= !leads(server);
    }
    void stay(std::size_t server) {
        state.servers[server].leaving = false;
        if (!leads(server)) state.servers[server].stopped = false;
    }

    // ---- operators and time ----

    void wish(Message message) {
        step([&](view_service::Output& out) { rules_.receive({"operator", "1", std::move(message)}, now_, out); });
        end_turn();
    }
    /// Lets time pass; the view service is woken at its deadlines.
    void pass(Duration length) {
        const auto end = now_ + length;
        turn_at_deadlines(rules_, now_, end, [&] { end_turn(); });
        now_ = end;
    }
    void copy_record() {
        auto record = rules_.record();
        const auto hash = sim::mix(view().number, view().synced_count() * 8 + record.groups.size());
        state.copy = model_.copies_.insert(std::move(record), hash).id;
    }
    /// The view service dies; its disk is restored to the copy, and it is started again.
    void put_record_back() {
        rules_ = ViewStateMachine{{.backups = model_.backups_, .max_events = 0}, model_.copies_[state.copy], now_};
        state.went_back = true;
        end_turn();
    }
    /// Lets a little more than D pass, in which all servers ping except these.
    void silence(std::size_t first, std::size_t last) {
        for (int i = 0; i < 6; ++i) {
            for (std::size_t server = 0; server < count; ++server)
                if (state.servers[server].up && (server < first || server > last)) ping(server, Says::known);
            pass(100ms);
        }
    }

    // ---- what must hold ----

    /// Whether the group serves, with its backups in sync, once all servers have pinged for longer than reports count.
    bool works_soon() {
        for (int round = 0; round < 16; ++round) {
            for (std::size_t server = 0; server < count; ++server)
                ping(server, leads(server) && !state.servers[server].stopped ? Says::all_synced : Says::known);
            if (works()) return true;
            if (round > 3 && !rules_.status("main", now_).groups.at(0).waiting_for.empty()) return false;
            pass(400ms);
        }
        return false;
    }

    /// From this state, with all servers alive and pinging, the group must work again; or it waits (R4) for a valid
    /// reason, and an operator ends the wait.
    std::string recover(std::size_t& waits) {
        for (std::size_t server = 0; server < count; ++server) {
            if (!state.servers[server].up) start(server);
            if (state.servers[server].leaving) stay(server);
        }
        if (works_soon()) return fault_;
        if (is_behind()) {  // R7: all servers can report what they know, and an operator adopts
            pass(600ms);
            for (int twice = 0; twice < 2; ++twice)
                for (std::size_t server = 0; server < count; ++server) ping(server, Says::known);
            wish(ViewAdopt{"main", ClusterId{7}});
            if (works_soon()) return fault_;
            if (is_behind()) return "adopt does not lead out of " + describe(view());
        }
        auto status = rules_.status("main", now_).groups.at(0);
        if (status.waiting_for.empty()) return "no way leads out of " + describe(view()) + ", and nobody is awaited";
        ++waits;
        for (const auto& awaited : status.waiting_for) {
            auto server = static_cast<std::size_t>(awaited[0] - 'a');
            const auto* member = view().member(awaited);
            if (member && member->incarnation == token(server, state.servers[server].incarnation))
                return "the group waits for " + awaited + ", which is there";
        }
        for (std::size_t server = 0; server < count; ++server) ping(server, Says::known);
        wish(ViewForce{"main", "c"});
        return works_soon() ? fault_ : "force does not lead out of " + describe(view());
    }
    /// After a later incarnation was heard, a late ping of a former incarnation must change nothing. One exception: a
    /// wait for that very incarnation ends for D, because it may be running.
    std::string check_former_incarnations() {
        for (std::size_t server = 0; server < count; ++server)
            for (int incarnation = 1; incarnation < state.servers[server].incarnation; ++incarnation) {
                auto heard_incarnations = state.servers[server].heard;
                if (!(heard_incarnations >> incarnation & 1) || heard_incarnations >> (incarnation + 1) == 0) continue;
                auto late = make_ping(server, Says::all_synced);
                late.incarnation = token(server, incarnation);
                late.viewnum = view().number;
                late.n = 1000;
                auto before = rules_;
                view_service::Output out;
                rules_.receive({"late", "1", late}, now_, out);
                const auto* member = view().member(name(server));
                const bool named = member && member->incarnation == late.incarnation;
                const auto seen = [&](const ViewStateMachine& machine) {
                    auto status = machine.status({}, now_);
                    if (named) status.groups.at(0).waiting_for.clear();
                    if (named) status.groups.at(0).waiting_why.clear();
                    return status;
                };
                const bool counts = !(seen(rules_) == seen(before)) || out.events.size() != 1;
                rules_ = std::move(before);
                if (counts) return "a ping of a former life of " + name(server) + " counts";
            }
        return {};
    }

private:
    static Address connection(std::size_t server) { return "conn:" + name(server); }

    Ping make_ping(std::size_t server, Says says) const {
        const auto& me = state.servers[server];
        Ping ping;
        ping.group = "main";
        ping.server = name(server);
        ping.incarnation = token(server, me.incarnation);
        ping.n = me.n;
        ping.viewnum = known(server).number;
        if (ping.viewnum != 0) ping.cluster = ClusterId{7};
        if (ping.viewnum != 0 && is_behind()) ping.known = ViewInfo{"main", ClusterId{7}, 100ms, known(server)};
        ping.stopped = me.stopped;
        ping.leaving = me.leaving;
        if (!leads(server) || me.stopped) return ping;
        ping.synced.emplace();
        for (const auto& backup : known(server).backups)
            if (backup.synced || me.all_synced || says == Says::all_synced) ping.synced->push_back(backup.name);
        if (says == Says::unreachable) ping.unreachable.push_back(known(server).backups.at(0).name);
        return ping;
    }
    std::uint64_t digest_of(const Ping& ping) const {
        auto hash = sim::mix(ping.viewnum, static_cast<std::uint64_t>(ping.stopped | ping.leaving << 1));
        hash = sim::mix(hash, sim::mix(ping.synced ? ping.synced->size() + 1 : 0, ping.unreachable.size()));
        hash = sim::mix(hash, sim::mix(view().number, view().synced_count()));
        return sim::mix(hash, sim::mix(static_cast<std::uint64_t>(now_.time_since_epoch().count()), state.left.wishes));
    }
    bool is_adopted() const { return view().number >= view_service::adoption_leap; }
    bool is_behind() const {
        const auto groups = rules_.status("main", now_).groups;
        return state.went_back && !groups.empty() && groups[0].waiting_why.starts_with("R7");
    }
    Incarnation heard(std::size_t server) const {
        for (const auto& group : rules_.status("main", now_).groups)
            for (const auto& one : group.servers)
                if (one.name == name(server)) return one.incarnation;
        return Incarnation::none;
    }

    template <typename Act>
    view_service::Output step(Act act, const Ping* ping = nullptr) {
        auto before = view();
        view_service::Output out;
        act(out);
        rules_.deep_invariants();
        check(before, out, ping);
        return out;
    }
    void end_turn() {
        step([&](view_service::Output& out) { rules_.wake(now_, out); });
    }
    void wrong(std::string what) {
        if (fault_.empty()) fault_ = std::move(what) + ": " + describe(view());
    }

    void check(const View& before, const view_service::Output& out, const Ping* ping) {
        const auto& next = view();
        model_.highest_ = std::max(model_.highest_, next.number);
        if (next == before) return;
        auto synced = [&](const Member& member) {
            const auto* old = before.backup(member.name);
            if (!old || old->incarnation != member.incarnation) return false;
            bool said = ping && ping->synced && ping->viewnum == before.number &&
                        ping->incarnation == before.primary.incarnation &&
                        std::ranges::find(*ping->synced, member.name) != ping->synced->end();
            return old->synced || said;
        };
        for (const auto& backup : next.backups)
            if (backup.synced && !synced(backup)) wrong(backup.name + " is in sync and nobody said so");
        if (next.number == before.number) {
            auto grown = before;
            for (auto& backup : grown.backups) backup.synced |= next.backup(backup.name)->synced;
            if (!(grown == next)) wrong("a view changed within");
            return;
        }
        check_successor(before, next, out, synced(next.primary));
    }
    void check_successor(const View& before, const View& next, const view_service::Output& out, bool heir_synced) {
        if (before.number + view_service::adoption_leap <= next.number) return;  // an operator adopted the group
        if (state.proved > before.number && !is_adopted())
            wrong("what was answered in view " + std::to_string(state.proved) + ", which was named, is lost");
        if (next.number != before.number + 1) wrong("a number is not the next");
        if (next.backups.size() > model_.backups_) wrong("too many backups");
        auto latest = [&](const Member& member) {
            return heard(static_cast<std::size_t>(member.name[0] - 'a')) == member.incarnation;
        };
        if (!latest(next.primary)) wrong("a former life is primary");
        for (const auto& backup : next.backups)
            if (!latest(backup) || backup.name == next.primary.name) wrong("a former life or the primary is backup");
        std::string why;
        for (const auto& event : out.events)
            if (const auto* decided = std::get_if<ViewDecided>(&event)) why = decided->why;
        bool forced = why.starts_with("force");
        if (forced != (next.forced == next.number)) wrong("forced, and does not say so");
        bool first = before.number == 0;
        if (first != why.starts_with("R0")) wrong("a first view that is not the first");
        bool same = before.primary.incarnation == next.primary.incarnation;
        if (!first && !forced && !same && !heir_synced) wrong("the new primary was not in sync");
    }
    bool works() const {
        if (view().number == 0) return false;
        auto server = static_cast<std::size_t>(view().primary.name[0] - 'a');
        return view().primary.incarnation == token(server, state.servers[server].incarnation) && leads(server) &&
               known(server).number == view().number && !state.servers[server].stopped &&
               rules_.status("main", now_).groups.at(0).acked && view().synced_count() == model_.backups_;
    }
    ExploredViews& model_;
    ViewStateMachine rules_;
    Time now_;
    std::string fault_;
};

inline std::uint32_t ExploredViews::keep(Service service) {
    auto hash = static_cast<std::uint64_t>(service.now.time_since_epoch().count());
    for (const auto& group : service.machine.status("main", service.now).groups) {
        const auto& view = group.info.view;
        hash = sim::mix(hash, sim::mix(view.number, view.synced_count() * 2 + group.acked));
        hash = sim::mix(hash, static_cast<std::uint64_t>(view.primary.incarnation));
        for (const auto& server : group.servers) {
            hash = sim::mix(sim::mix(hash, static_cast<std::uint64_t>(server.incarnation)), server.role);
            hash = sim::mix(sim::mix(hash, server.viewnum), static_cast<std::uint64_t>(server.last_ping.count()));
        }
    }
    return services_.insert(std::move(service), hash).id;
}

inline ExploredViews::State ExploredViews::at_rest(const ViewBudget& budget) {
    Play play{*this, start(budget)};
    for (std::size_t server = 0; server < count; ++server) play.start(server);
    UNDERSTUDY_CHECK(play.works_soon());
    return play.finish();
}

inline std::vector<sim::Successor<ExploredViews::State>> ExploredViews::successors(const State& state) {
    using Says = Play::Says;
    std::vector<sim::Successor<State>> next;
    if (state.fault != 0) return next;
    auto take = [&](std::string label, std::uint8_t ViewBudget::*budget, auto act) {
        if (budget && state.left.*budget == 0) return;
        Play play{*this, state};
        if (budget) --(play.state.left.*budget);
        act(play);
        next.push_back({std::move(label), play.finish()});
    };
    const Play now{*this, state};
    for (std::size_t i = 0; i < count; ++i) {
        const auto& server = state.servers[i];
        auto restart = server.incarnation == 0 ? nullptr : &ViewBudget::restarts;
        if (!server.up) {
            take(name(i) + " starts", restart, [&](Play& play) { play.start(i), play.ping(i, Says::known); });
            continue;
        }
        auto ping = [&](const std::string& what, Says says, std::uint8_t ViewBudget::*budget = nullptr) {
            if (!now.has_news(i, says)) return;
            take(name(i) + what, budget, [&](Play& play) { play.ping(i, says); });
            if (next.empty() || next.back().state.servers[i].view == server.view) return;
            if (!now.has_news(i, says, false)) return;
            take(name(i) + what + " and the answer is lost", budget, [&](Play& play) { play.ping(i, says, false); });
        };
        ping(" pings", Says::known);
        if (now.leads(i) && !server.stopped && !now.known(i).backups.empty()) {
            ping(" pings: all in sync", Says::all_synced);
            ping(" pings: " + now.known(i).backups[0].name + " unreachable", Says::unreachable, &ViewBudget::reports);
        }
        if (is_newer(now.view(), now.known(i)))
            take(name(i) + " is pushed the view", nullptr, [&](Play& play) { play.adopt(i, now.view()); });
        take(name(i) + " dies with proof", &ViewBudget::restarts, [&](Play& play) { play.die(i); });
        take(name(i) + " restarts at once", &ViewBudget::restarts, [&](Play& play) { play.start(i); });
        take(name(i) + " is silent for D", &ViewBudget::silences, [&](Play& play) { play.silence(i, i); });
        if (!server.leaving) take(name(i) + " wants to leave", &ViewBudget::leaves, [&](Play& play) { play.leave(i); });
        if (server.leaving) take(name(i) + " stays", nullptr, [&](Play& play) { play.stay(i); });
        if (now.view().backup(name(i)))
            take("an operator promotes " + name(i), &ViewBudget::wishes, [&](Play& play) {
                play.wish(ViewPromote{"main", name(i)});
            });
        take("an operator forces " + name(i), &ViewBudget::wishes, [&](Play& play) {
            play.wish(ViewForce{"main", name(i)});
        });
    }
    if (state.copy == 0 && state.left.restores != 0 && now.view().number != 0)
        take("the record is copied", nullptr, [](Play& play) { play.copy_record(); });
    if (state.copy != 0)
        take("the record goes back to its copy", &ViewBudget::restores, [](Play& play) { play.put_record_back(); });
    take("all are silent for D", &ViewBudget::silences, [](Play& play) { play.silence(0, count - 1); });
    return next;
}

inline std::optional<std::string> ExploredViews::violated(const State& state) {
    if (state.fault != 0) return faults_[state.fault];
    Play late{*this, state};
    const bool knows_incarnations = !state.went_back;  // an old record lacks the incarnations that were heard since
    if (auto wrong = knows_incarnations ? late.check_former_incarnations() : std::string{}; !wrong.empty())
        return wrong;
    auto alike = state;  // the remaining budget and the messages already sent do not matter to a recovery
    alike.left = {};
    for (auto& server : alike.servers) server.said = 0;
    if (auto hash = digest(alike); !recovered_.insert(std::move(alike), hash).fresh) return std::nullopt;
    Play play{*this, state};
    if (auto wrong = play.recover(waits_); !wrong.empty()) return wrong;
    return std::nullopt;
}

}  // namespace understudy::test
