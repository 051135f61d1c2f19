// A whole group as values: the view service, its servers and clients, a network and a clock, all driven by one seed. It
// injects every fault that the protocol allows, and checks every answer and every replica all the same. The turns are
// those of hand_driver.hpp; what is added is when things arrive, or that they never do.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <tests/support/group_chance.hpp>
#include <tests/support/group_oracle.hpp>
#include <tests/support/hand_driver.hpp>
#include <tests/support/list_store.hpp>
#include <understudy/client/state_machine.hpp>
#include <understudy/replica/state_machine.hpp>
#include <understudy/view_service/state_machine.hpp>

namespace understudy::test {

using namespace protocol;
using namespace view_service;
using namespace replica;
using namespace client;

class GroupWorld {
public:
    using Replica = ReplicaStateMachine<ListStore>;

    explicit GroupWorld(std::uint64_t seed)
        : dice_(seed),
          streams_(dice_.one_in(2)),
          oracle_(streams_),
          wanted_(1 + dice_.below(2)),
          options_(draw_replica_options(dice_)),
          view_service_(ViewOptions{.backups = wanted_}, cluster, now_) {
        auto spare = dice_.below(2);
        for (std::uint64_t i = 0; i <= wanted_ + spare; ++i) start(Address(1, static_cast<char>('a' + i)));
        for (std::uint64_t i = 0; i < 3; ++i)
            clients_.emplace("c" + std::to_string(i), ClientStateMachine{draw_clerk_options(dice_), seed + i});
    }

    // ---- acts -------------------------------------------------------------------------------------------

    /// Injects faults of all kinds while the clients work.
    void chaos(int acts) {
        for (int i = 0; i < acts; ++i) {
            run(Duration{dice_.below(dice_.one_in(10) ? 400'000'000 : 40'000'000)});
            act();
        }
    }

    /// Ends all faults: from now on nothing fails, and servers that are down are started again.
    void heal() {
        calm_ = true;
        blocked_.clear();
        for (auto& [name, server] : servers_) {
            server.stalled = {};
            if (!server.machine)
                start(name);
            else if (std::exchange(server.leaving, false))
                ask(name, [&](Replica& machine, replica::Output& out) { machine.stay(now_, out); });
        }
        view_stalled_ = {};
    }

    /// Runs until the group is at rest. Returns false if the group waits (R4), which is allowed only when no process
    /// is left that holds every answered write.
    bool settle() {
        auto limit = now_ + 60s;
        while (now_ < limit) {
            run(500ms);
            if (waits() && now_ > limit - 40s) {
                check_wait();
                return false;
            }
            if (at_rest()) return true;
        }
        ensure(false, "the group does not come to rest: " + describe(view()));
        return false;
    }

    /// An operator forces a live server to be primary; writes that were answered before may be lost.
    void force() {
        auto name = view().primary.name;
        post({"v", Envelope{"operator#0", "1", ViewForce{group, name}}}, 1ms);
        oracle_.forced();
        run(2s);
    }

    /// Checks that all clients can write and read, that all replicas are equal, and that every answered write is there.
    void check_the_end() {
        for (auto& [name, clerk] : clients_) begin(name, true, 30s);  // a session that expired shows now
        ensure(settle(), "a healthy group waits");
        oracle_.calm();
        for (auto& [name, clerk] : clients_) begin(name, true, 30s), begin(name, false, 30s);
        run(10s);  // the sessions expire during this time
        for (auto& [name, clerk] : clients_) ensure(clerk.pending() == 0, "a call never ends");
        ensure(at_rest(), "the group does not stay at rest");
        const auto& leader = *servers_.at(view().primary.name).machine;
        ensure(leader.state().sessions.size() == 0, "a session does not expire");
        for (const auto& backup : view().backups) {
            const auto& state = servers_.at(backup.name).machine->state();
            ensure(state.applied == leader.state().applied, "a backup in sync does not learn what is committed");
            ensure(state.store == leader.store() && state.sessions == leader.state().sessions, "replicas differ");
        }
        oracle_.check(leader.store().all);
    }

    void run(Duration length) {
        for (auto end = now_ + length;;) {
            auto next = next_time();
            if (next > end) {
                now_ = end;
                return;
            }
            busy_ = next > now_ ? 0 : busy_ + 1;
            ensure(busy_ <= 2000, "time stands still");
            now_ = std::max(now_, next);
            deliver();
            turns();
        }
    }

    const GroupOracle& oracle() const { return oracle_; }
    ViewNumber views() const { return view().number; }

private:
    static constexpr ClusterId cluster{7};
    static inline const std::string group = "main";

    struct Server {
        std::optional<Replica> machine;
        std::uint64_t incarnation = 0;
        Time stalled{};
        bool leaving = false;
    };
    struct Arriving {
        Address to;
        Input what;
    };

    // ---- nodes ------------------------------------------------------------------------------------------

    void start(const Address& name) {
        auto& server = servers_[name];
        ++server.incarnation;
        server.machine.emplace(ListStore{}, options_, name, Incarnation{++incarnations_}, now_);
    }
    void crash(const Address& name) {
        auto& server = servers_.at(name);
        server.machine.reset();
        server.stalled = {};
        server.leaving = false;
        std::erase_if(held_, [&](const auto& held) { return held.first.first == name; });
        if (!dice_.one_in(4))
            for (const auto& other : everybody()) part(other, name);
    }
    /// Reports to `name` that its connections with `other` ended.
    void part(const Address& name, const Address& other) {
        if (name == other) return;
        post({name, ConnectionEnded{other}}, travel());
        post({name, ConnectionEnded{process_name(other, process_of(other))}}, travel());
    }
    std::vector<Address> everybody() const {
        std::vector<Address> names{"v"};
        for (const auto& [name, server] : servers_) names.push_back(name);
        for (const auto& [name, clerk] : clients_) names.push_back(name);
        return names;
    }
    /// The number of the process that has the name now.
    std::uint64_t process_of(const Address& name) const {
        auto server = servers_.find(name);
        return server == servers_.end() ? 0 : server->second.incarnation;
    }

    const View& view() const { return view_of(view_service_.view(group)); }
    /// The process that the view names, if it is running.
    const Replica* process(const Member& member) const {
        auto server = servers_.find(member.name);
        if (server == servers_.end() || !server->second.machine) return nullptr;
        const auto& machine = *server->second.machine;
        return machine.status(now_).incarnation == member.incarnation ? &machine : nullptr;
    }
    bool waits() const {
        auto status = view_service_.status(group, now_);
        return !status.groups.empty() && !status.groups.front().waiting_for.empty();
    }
    bool at_rest() const {
        if (view().number == 0 || view().synced_count() != std::min(wanted_, servers_.size() - 1)) return false;
        const auto* leader = process(view().primary);
        bool idle = std::ranges::all_of(clients_, [](const auto& client) { return client.second.pending() == 0; });
        return idle && leader && leader->serving() && leader->view().view.number == view().number;
    }

    // ---- faults -----------------------------------------------------------------------------------------

    void act() {
        auto name = dice_.any(servers_);
        auto& server = servers_.at(name);
        switch (dice_.below(24)) {
            case 0:
                if (server.machine && may_crash(name)) crash(name);
                break;
            case 1:
            case 2:
                if (!server.machine) start(name);
                break;
            case 3: block(); break;
            case 4:
                if (dice_.one_in(2)) blocked_.clear();
                break;
            case 5: server.stalled = now_ + Duration{dice_.below(dice_.one_in(3) ? 1'200'000'000 : 200'000'000)}; break;
            case 6:
                if (dice_.one_in(4)) view_stalled_ = now_ + Duration{dice_.below(1'500'000'000)};
                break;
            case 7: disconnect(); break;
            case 8:
                if (dice_.one_in(3)) post({"v", Envelope{"operator#0", "1", ViewPromote{group, name}}}, 1ms);
                break;
            case 9:
                if (server.machine && dice_.one_in(3)) leave_or_stay(name);
                break;
            case 10: cancel(); break;
            case 11:
                for (int i = 0; i < 20; ++i) begin(dice_.any(clients_), true, 4s);
                break;
            case 12:
                if (dice_.one_in(2)) split();
                break;
            default:
                for (auto i = dice_.below(6); i > 0; --i)
                    begin(dice_.any(clients_), !dice_.one_in(4), dice_.one_in(8) ? 100ms : 4s);
        }
    }
    /// Most crashes must leave another process that holds everything; otherwise most runs would end with a wait (R4).
    bool may_crash(const Address& name) {
        if (dice_.one_in(12)) return true;
        auto safe = [&](const Member& member) { return member.name != name && process(member); };
        return safe(view().primary) ||
               std::ranges::any_of(view().backups, [&](const Member& member) { return member.synced && safe(member); });
    }
    void block() {
        auto names = everybody();
        auto from = names[dice_.below(names.size())], to = names[dice_.below(names.size())];
        blocked_.insert({from, to});
        if (dice_.one_in(2)) blocked_.insert({to, from});
    }
    /// Cuts the primary and one client off from all other nodes. Neither is notified.
    void split() {
        auto primary = view().primary.name, client = dice_.any(clients_);
        for (const auto& name : everybody())
            for (const auto& other : {primary, client})
                if (name != primary && name != client) blocked_.insert({name, other}), blocked_.insert({other, name});
        if (dice_.one_in(2)) begin(client, true, 4s);
        run(Duration{dice_.below(1'500'000'000)});
        for (const auto& [name, clerk] : clients_) begin(name, true, 4s);
        run(Duration{dice_.below(200'000'000)});
        for (const auto& [name, clerk] : clients_) begin(name, false, 4s);
    }
    /// Breaks a connection: messages in flight on it are lost, and both ends are notified.
    void disconnect() {
        auto names = everybody();
        auto one = names[dice_.below(names.size())], other = names[dice_.below(names.size())];
        std::erase_if(network_, [&](const auto& entry) {
            const auto* envelope = std::get_if<Envelope>(&entry.second.what);
            if (!envelope) return false;
            const auto from = without_process(envelope->peer), to = entry.second.to;
            return (from == one && to == other) || (from == other && to == one);
        });
        part(one, other);
        part(other, one);
    }
    void leave_or_stay(const Address& name) {
        auto leaving = servers_.at(name).leaving = !servers_.at(name).leaving;
        ask(name, [&](Replica& machine, replica::Output& out) {
            leaving ? machine.leave(now_, out) : machine.stay(now_, out);
        });
    }
    template <typename Step>
    void ask(const Address& name, Step step) {
        replica::Output out;
        step(*servers_.at(name).machine, out);
        carry_out(name, out);
    }

    // ---- clients ----------------------------------------------------------------------------------------

    void begin(const Address& name, bool write, Duration timeout) {
        auto key = ++last_key_;
        auto text = write ? name + "." + std::to_string(key) : "all";
        auto& clerk = clients_.at(name);
        if (write)
            clerk.execute(key, text, timeout, now_);
        else if (!calm_ && dice_.one_in(8))
            clerk.dump(key, {}, 0, timeout, now_);
        else
            clerk.query(key, text, timeout, now_);
        oracle_.begun(name, key, write, std::move(text));
        touched_.insert(name);
    }
    void cancel() {
        auto name = dice_.any(clients_);
        auto key = last_key_ - dice_.below(std::min<CallKey>(last_key_, 10) + 1);
        clients_.at(name).cancel(key, now_);
        oracle_.cancelled(name, key);
    }

    // ---- what must hold ---------------------------------------------------------------------------------

    /// R4: no process is left that holds every answered write.
    void check_wait() const {
        auto incarnations = [&](const Member& member) { return process(member) != nullptr; };
        ensure(!incarnations(view().primary), "the group waits although its primary lives");
        for (const auto& backup : view().backups)
            ensure(!backup.synced || !incarnations(backup), "the group waits although a backup in sync lives");
    }

    // ---- time and network -------------------------------------------------------------------------------

    Time next_time() const {
        auto next = network_.empty() ? never : network_.begin()->first;
        if (!touched_.empty()) next = std::min(next, now_);
        next = std::min(next, std::max(view_service_.deadline(), view_stalled_));
        for (const auto& [name, server] : servers_)
            if (server.machine) next = std::min(next, std::max(server.machine->deadline(), server.stalled));
        for (const auto& [name, clerk] : clients_) next = std::min(next, clerk.deadline());
        return next;
    }
    void deliver() {
        while (!network_.empty() && network_.begin()->first <= now_) {
            auto event = std::move(network_.extract(network_.begin()).mapped());
            if (auto late = stalled(event.to); late > now_)
                network_.emplace(late, std::move(event));
            else
                take(std::move(event));
        }
    }
    Time stalled(const Address& name) const {
        if (name == "v") return view_stalled_;
        auto server = servers_.find(name);
        return server == servers_.end() ? Time{} : server->second.stalled;
    }
    void take(Arriving event) {
        auto& name = event.to;
        auto give = [&]<typename M>(M& machine) {
            typename M::Output out;
            arrive(machine, std::move(event.what), now_, out);
            touched_.insert(name);
            carry_out(name, out);
        };
        if (name == "v") return give(view_service_);
        if (auto clerk = clients_.find(name); clerk != clients_.end()) return give(clerk->second);
        auto server = servers_.find(name);
        if (server == servers_.end() || !server->second.machine) return;
        if (const auto* gone = std::get_if<ConnectionEnded>(&event.what)) held_.erase({name, gone->peer});
        if (const auto* envelope = std::get_if<Envelope>(&event.what))
            if (auto held = held_.find({name, envelope->peer}); held != held_.end())
                return held->second.push_back(std::move(event));
        give(*server->second.machine);
    }
    void turns() {
        auto due = [&](const Address& name, Time deadline) {
            return stalled(name) <= now_ && (deadline <= now_ || touched_.contains(name));
        };
        auto turn = [&]<typename M>(const Address& name, M& machine) {
            touched_.erase(name);
            typename M::Output out;
            take_turn(machine, now_, out);
            if constexpr (std::is_same_v<M, Replica>)
                oracle_.see(machine, out, now_, options_.max_sessions);
            carry_out(name, out);
        };
        if (due("v", view_service_.deadline())) turn("v", view_service_);
        for (auto& [name, server] : servers_)
            if (server.machine && due(name, server.machine->deadline())) turn(name, *server.machine);
        for (auto& [name, clerk] : clients_) {
            if (!due(name, clerk.deadline())) continue;
            turn(name, clerk);
            for (auto& how : clerk.take_finished()) oracle_.ended(name, how);
        }
        std::erase_if(touched_, [&](const auto& name) { return stalled(name) <= now_; });
    }
    template <typename Output>
    void carry_out(const Address& from, Output& out) {
        test::carry_out(out, Overloaded{[&](Envelope& sent) { send(from, std::move(sent)); },
                                        [&](const Address& name) { probe(name); },
                                        [&](const replica::Hold& hold) { pause_or_resume(from, hold); },
                                        [&](const Event& event) { oracle_.emitted(event); }});
    }
    void pause_or_resume(const Address& reader, const replica::Hold& hold) {
        if (hold.on)
            held_.try_emplace({reader, hold.peer});
        else if (auto found = held_.extract({reader, hold.peer}))
            for (auto& event : found.mapped()) post(std::move(event), {});
    }
    void send(const Address& from, Envelope envelope) {
        const auto [to, process] = pass_on(envelope, from, process_of(from));
        if (process && process != process_of(to)) return;
        if (blocked_.contains({from, to}) || (!streams_ && !calm_ && dice_.one_in(20))) return;
        int copies = !streams_ && !calm_ && dice_.one_in(20) ? 2 : 1;
        for (; copies > 1; --copies) post({to, envelope}, travel());
        if (!streams_) return post({to, std::move(envelope)}, travel());
        auto& last = last_arrival_[{from, to}];
        last = std::max(last, now_ + travel());
        network_.emplace(last, Arriving{to, std::move(envelope)});
    }
    Duration travel() {
        if (calm_) return Duration{1'000'000 + dice_.below(2'000'000)};
        return Duration{dice_.below(dice_.one_in(30) ? 300'000'000 : dice_.one_in(4) ? 30'000'000 : 3'000'000)};
    }
    void post(Arriving event, Duration delay) { network_.emplace(now_ + delay, std::move(event)); }
    void probe(const Address& name) {
        auto result = servers_.at(name).machine ? ProbeResult::alive : ProbeResult::refused;
        if (!calm_ && dice_.one_in(8)) result = ProbeResult::refused;  // a wrong result: the process may be running
        if (blocked_.contains({"v", name})) result = ProbeResult::unknown;
        post({"v", ProbeEnded{name, result}}, travel());
    }

    Dice dice_;
    bool streams_;  // no message is lost, repeated or reordered, but connections break
    GroupOracle oracle_;
    std::size_t wanted_;
    Time now_{100s};
    ReplicaOptions options_;
    ViewStateMachine view_service_;
    Time view_stalled_{};
    std::map<Address, Server> servers_;
    std::map<Address, ClientStateMachine> clients_;
    std::uint64_t incarnations_ = 0;
    std::set<Address> touched_;  // received something since their last turn
    int busy_ = 0;

    std::multimap<Time, Arriving> network_;
    std::map<std::pair<Address, Address>, Time> last_arrival_;
    std::set<std::pair<Address, Address>> blocked_;  // (from, to)
    // (server, peer): the server does not read from this peer for now
    std::map<std::pair<Address, Address>, std::vector<Arriving>> held_;
    bool calm_ = false;
    CallKey last_key_ = 0;
};

}  // namespace understudy::test
