// A whole group as values: the view service, its servers and clients, a network and a clock, all driven by one seed.
// It breaks whatever may break, and knows what every answer and every replica must look like all the same.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <doctest/doctest.h>

#include <tests/support/list_store.hpp>
#include <understudy/core/clerk_rules.hpp>
#include <understudy/core/replica_rules.hpp>
#include <understudy/core/view_rules.hpp>

namespace understudy::test {

/// Commands are unique and the store is a list of them, so an answer's place in the list says all about its order:
/// an operation that begins when the list is known to have n bytes must see at least these.
class GroupWorld {
public:
    using Replica = ReplicaRules<ListStore>;

    explicit GroupWorld(std::uint64_t seed)
        : chance_(seed),
          streams_(one_in(2)),
          wanted_(1 + below(2)),
          view_service_(ViewOptions{.backups = wanted_}, cluster, now_) {
        auto spare = below(2);
        draw_options();
        for (std::uint64_t i = 0; i <= wanted_ + spare; ++i) start(Address(1, static_cast<char>('a' + i)));
        for (std::uint64_t i = 0; i < 3; ++i)
            clients_.emplace("c" + std::to_string(i), ClerkRules{clerk_options(), seed + i});
    }

    // ---- acts -------------------------------------------------------------------------------------------

    /// Faults of all kinds while the clients work.
    void chaos(int acts) {
        for (int i = 0; i < acts; ++i) {
            run(Duration{below(one_in(10) ? 400'000'000 : 40'000'000)});
            act();
        }
    }

    /// From now on nothing fails, and whatever is down comes back.
    void heal() {
        calm_ = true;
        blocked_.clear();
        for (auto& [name, server] : servers_) {
            server.stalled = {};
            if (!server.rules)
                start(name);
            else if (std::exchange(server.leaving, false))
                ask(name, [&](Replica& rules, Effects& out) { rules.stay(now_, out); });
        }
        view_stalled_ = {};
    }

    /// Lets the group come to rest. False if it waits (R4), which it may do only if it must.
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
        FAIL("the group does not come to rest: ", describe(view()));
        return false;
    }

    /// An operator forces some live server; what was answered before may be lost.
    void force() {
        forced_ = true;
        auto name = view().primary.name;
        post({"v", {"operator#0", "1", ViewForce{group, name}}, {}, {}}, 1ms);
        run(2s);
        floor_ = 0;
        known_.clear();
        places_.clear();
    }

    /// Everybody can write and read, all replicas are equal, and what was promised is there.
    void check_the_end() {
        for (auto& [name, clerk] : clients_) begin(name, true, 30s);  // a session that is gone shows now
        ensure(settle(), "a healthy group waits");
        must_succeed_ = true;
        for (auto& [name, clerk] : clients_) begin(name, true, 30s), begin(name, false, 30s);
        run(10s);  // the sessions expire meanwhile
        for (auto& [name, clerk] : clients_) ensure(clerk.pending() == 0, "a call never ends");
        ensure(at_rest(), "the group does not stay at rest");
        const auto& leader = *servers_.at(view().primary.name).rules;
        ensure(leader.state().sessions.size() == 0, "a session does not expire");
        for (const auto& backup : view().backups) {
            const auto& state = servers_.at(backup.name).rules->state();
            ensure(state.applied == leader.state().applied, "a backup in sync does not learn what is committed");
            ensure(state.store == leader.store() && state.sessions == leader.state().sessions, "replicas differ");
        }
        check_list(leader.store().all);
    }

    void run(Duration length) {
        for (auto end = now_ + length;;) {
            auto next = next_time();
            if (next > end) {
                now_ = end;
                return;
            }
            busy_ = next > now_ ? 0 : busy_ + 1;
            if (busy_ > 2000) FAIL("time stands still");
            now_ = std::max(now_, next);
            deliver();
            turns();
        }
    }

    std::size_t answered() const { return answered_; }
    ViewNumber views() const { return view().number; }
    std::size_t snapshots() const { return snapshots_; }
    std::size_t cuts() const { return cuts_; }

private:
    static constexpr ClusterId cluster{7};
    static inline const std::string group = "main";

    struct Server {
        std::optional<Replica> rules;
        std::uint64_t life = 0;
        Time stalled{};
        bool leaving = false;
    };
    /// A message, or news of a connection or a probe, on its way.
    struct Arriving {
        Address to;
        Envelope envelope;  // its peer is the sender, as the receiver knows it
        std::optional<Address> gone;
        std::optional<std::pair<Address, ProbeResult>> probed;
    };
    struct Operation {
        bool write = false;
        std::string text;
        std::size_t floor = 0;
    };

    // ---- chance -----------------------------------------------------------------------------------------

    std::uint64_t below(std::uint64_t bound) { return chance_.next() % bound; }
    bool one_in(std::uint64_t n) { return below(n) == 0; }
    template <typename T>
    T pick(std::initializer_list<T> values) {
        return values.begin()[below(values.size())];
    }
    template <typename Table>
    Address any(const Table& table) {
        return std::next(table.begin(), static_cast<long>(below(table.size())))->first;
    }

    void draw_options() {
        options_.view_service = {"v"};
        options_.min_in_sync = below(2);
        options_.log_bytes = pick<std::size_t>({0, 500, 2000, 1 << 20});
        options_.transfer_log_bytes = pick<std::size_t>({0, 3000, 1 << 20});
        options_.append_bytes = pick<std::size_t>({1, 300, 1000});
        options_.window_bytes = options_.append_bytes * pick<std::size_t>({1, 3, 100});
        options_.chunk_bytes = pick<std::size_t>({16, 100});
        options_.chunk_window = 1 + below(4);
        options_.max_calls = pick<std::size_t>({5, 1000});
        options_.max_calls_per_peer = pick<std::size_t>({1, 3, 1000});
        options_.max_call_bytes = pick<std::size_t>({1000, 1 << 20});
        options_.max_sessions = pick<std::size_t>({3, 100});
        options_.max_results = pick<std::size_t>({2, 100});
        options_.max_dumps = 2;
        options_.session_ttl = 2s;
        options_.transfer_ttl = pick<Duration>({200ms, 2s});
        options_.dump_ttl = 300ms;
    }
    ClerkOptions clerk_options() {
        ClerkOptions options;
        options.view_service = {"v"};
        options.give_up_after = 4s;
        options.resend_after = 100ms;
        options.window = pick<std::size_t>({1, 4, 50});
        return options;
    }

    // ---- parties ----------------------------------------------------------------------------------------

    void start(const Address& name) {
        auto& server = servers_[name];
        ++server.life;
        server.rules.emplace(ListStore{}, options_, name, Incarnation{++lives_}, now_);
    }
    void crash(const Address& name) {
        auto& server = servers_.at(name);
        server.rules.reset();
        server.stalled = {};
        server.leaving = false;
        std::erase_if(held_, [&](const auto& held) { return held.first.first == name; });
        if (!one_in(4))
            for (const auto& other : everybody()) part(other, name);
    }
    /// What `name` learns when its connections with `other` end.
    void part(const Address& name, const Address& other) {
        if (name == other) return;
        post({name, {}, other, {}}, travel());
        post({name, {}, with_life(other), {}}, travel());
    }
    std::vector<Address> everybody() const {
        std::vector<Address> names{"v"};
        for (const auto& [name, server] : servers_) names.push_back(name);
        for (const auto& [name, clerk] : clients_) names.push_back(name);
        return names;
    }
    Address with_life(const Address& name) const {
        auto server = servers_.find(name);
        return name + "#" + std::to_string(server == servers_.end() ? 0 : server->second.life);
    }
    static Address without_life(const Address& peer) { return peer.substr(0, peer.find('#')); }

    const View& view() const {
        static const View none;
        const auto* info = view_service_.view(group);
        return info ? info->view : none;
    }
    /// The process that the view names, if it lives.
    const Replica* process(const Member& member) const {
        auto server = servers_.find(member.name);
        if (server == servers_.end() || !server->second.rules) return nullptr;
        const auto& rules = *server->second.rules;
        return rules.status(now_).incarnation == member.incarnation ? &rules : nullptr;
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
        auto name = any(servers_);
        auto& server = servers_.at(name);
        switch (below(24)) {
            case 0:
                if (server.rules && may_crash(name)) crash(name);
                break;
            case 1:
            case 2:
                if (!server.rules) start(name);
                break;
            case 3: block(); break;
            case 4: if (one_in(2)) blocked_.clear(); break;
            case 5: server.stalled = now_ + Duration{below(one_in(3) ? 1'200'000'000 : 200'000'000)}; break;
            case 6:
                if (one_in(4)) view_stalled_ = now_ + Duration{below(1'500'000'000)};
                break;
            case 7: disconnect(); break;
            case 8:
                if (one_in(3)) post({"v", {"operator#0", "1", ViewPromote{group, name}}, {}, {}}, 1ms);
                break;
            case 9:
                if (server.rules && one_in(3)) leave_or_stay(name);
                break;
            case 10:
                if (auto client = any(clients_); !live_[client].empty()) cancel(client);
                break;
            case 11:
                for (int i = 0; i < 20; ++i) begin(any(clients_), true, 4s);
                break;
            default:
                for (auto i = below(6); i > 0; --i) begin(any(clients_), !one_in(4), one_in(8) ? 100ms : 4s);
        }
    }
    /// Mostly a crash leaves somebody who holds everything; else most plays would end with a wait (R4).
    bool may_crash(const Address& name) {
        if (one_in(12)) return true;
        auto safe = [&](const Member& member) { return member.name != name && process(member); };
        return safe(view().primary) ||
               std::ranges::any_of(view().backups, [&](const Member& member) { return member.synced && safe(member); });
    }
    void block() {
        auto names = everybody();
        auto from = names[below(names.size())], to = names[below(names.size())];
        blocked_.insert({from, to});
        if (one_in(2)) blocked_.insert({to, from});
    }
    /// The primary and one client are cut off from everybody else but do not know it.
    void split() {
        auto primary = view().primary.name, client = any(clients_);
        for (const auto& name : everybody())
            for (const auto& other : {primary, client})
                if (name != primary && name != client) blocked_.insert({name, other}), blocked_.insert({other, name});
        if (one_in(2)) begin(client, true, 4s);
        run(Duration{below(1'500'000'000)});
        for (const auto& [name, clerk] : clients_) begin(name, true, 4s);
        run(Duration{below(200'000'000)});
        for (const auto& [name, clerk] : clients_) begin(name, false, 4s);
    }
    /// A connection breaks: what was under way on it is lost, and both ends hear of it.
    void disconnect() {
        auto names = everybody();
        auto one = names[below(names.size())], other = names[below(names.size())];
        std::erase_if(network_, [&](const auto& entry) {
            const auto& [to, envelope, gone, probed] = entry.second;
            auto from = without_life(envelope.peer);
            return !gone && !probed && ((from == one && to == other) || (from == other && to == one));
        });
        part(one, other);
        part(other, one);
    }
    void leave_or_stay(const Address& name) {
        auto leaving = servers_.at(name).leaving = !servers_.at(name).leaving;
        ask(name, [&](Replica& rules, Effects& out) { leaving ? rules.leave(now_, out) : rules.stay(now_, out); });
    }
    template <typename Step>
    void ask(const Address& name, Step step) {
        Effects out;
        step(*servers_.at(name).rules, out);
        carry_out(name, out);
    }

    // ---- clients ----------------------------------------------------------------------------------------

    void begin(const Address& name, bool write, Duration patience) {
        auto key = ++last_key_;
        Operation operation{write, write ? name + "." + std::to_string(key) : "all", floor_};
        auto& clerk = clients_.at(name);
        if (write)
            clerk.execute(key, operation.text, patience, now_);
        else if (!calm_ && one_in(8))
            clerk.dump(key, {}, 0, patience, now_), operation.text = "dump";
        else
            clerk.query(key, operation.text, patience, now_);
        live_[name].emplace(key, std::move(operation));
        touched_.insert(name);
    }
    void cancel(const Address& name) {
        auto& live = live_[name];
        clients_.at(name).cancel(live.begin()->first, now_);
        live.erase(live.begin());
    }
    void ended(const Address& name, Finished& how) {
        auto found = live_[name].extract(how.key);
        ensure(!found.empty(), "a call ends that was not asked");
        auto& operation = found.mapped();
        if (how.error) return failed(operation, how);
        ++answered_;
        if (operation.text == "dump") return;
        auto size = operation.write ? std::stoul(how.value) : how.value.size();
        if (operation.write) {
            ensure(size > operation.floor, "a write stands before one that was answered earlier");
            ensure(places_.emplace(size, operation.text).second, "two writes have one place");
        } else {
            ensure(size >= operation.floor, "a read misses what was answered before it began");
            if (size > known_.size()) std::swap(known_, how.value);
            ensure(known_.starts_with(how.value), "two reads contradict each other");
        }
        floor_ = std::max(floor_, size);
    }
    void failed(const Operation& operation, const Finished& how) {
        if (must_succeed_) FAIL("a healthy group answers ", to_string(*how.error), ": ", how.detail);
        bool sure = *how.error == error::deadline_passed || (streams_ && *how.error != error::outcome_unknown);
        if (operation.write && sure) refused_.insert(operation.text);
    }

    // ---- what must hold ---------------------------------------------------------------------------------

    static void ensure(bool holds, const char* otherwise) {
        if (!holds) FAIL(std::string{otherwise});
    }
    void check_wait() const {
        auto lives = [&](const Member& member) { return process(member) != nullptr; };
        ensure(!lives(view().primary), "the group waits although its primary lives");
        for (const auto& backup : view().backups)
            ensure(!backup.synced || !lives(backup), "the group waits although a backup in sync lives");
    }
    /// At one index all replicas are equal, whenever they get there.
    void check_state(const Replica& rules) {
        const auto& state = rules.state();
        auto key = std::pair{rules.view().view.forced, state.applied.index};
        auto now = std::tuple{state.applied, std::hash<std::string>{}(state.store.all),
                              std::hash<std::string>{}(state.sessions.save())};
        ensure(states_.emplace(key, now).first->second == now, "replicas differ at one index");
        ensure(state.sessions.size() <= options_.max_sessions + 20, "sessions without bound");
    }
    void check_list(const std::string& list) {
        std::set<std::string> seen;
        for (std::size_t at = 0; at < list.size();) {
            auto end = list.find(';', at);
            auto text = list.substr(at, end - at);
            ensure(seen.insert(text).second, "a command took effect twice");
            ensure(!refused_.contains(text), "a command took effect that was said to have none");
            at = end + 1;
        }
        ensure(list.starts_with(known_), "a read saw what is not there");
        for (const auto& [end, text] : places_)
            ensure(end <= list.size() && list.substr(0, end).ends_with(text + ";"), "an answered write is lost");
    }
    void check_event(const Event& event) {
        if (std::holds_alternative<StoreFailed>(event)) FAIL("a store failed");
        if (auto* cut = std::get_if<LogCut>(&event))
            ++cuts_, ensure(forced_ || !cut->committed, "committed entries were cut");
        if (std::holds_alternative<SnapshotInstalled>(event)) ++snapshots_;
        auto* refused = std::get_if<Refused>(&event);
        if (!refused) return;
        for (auto* never :
             {"conflicts with a committed", "never sent", "out of order", "cannot be restored", "does not follow"})
            if (refused->what.find(never) != std::string::npos) FAIL(describe(event));
    }

    // ---- time and network -------------------------------------------------------------------------------

    Time next_time() const {
        auto next = network_.empty() ? never : network_.begin()->first;
        if (!touched_.empty()) next = std::min(next, now_);
        next = std::min(next, std::max(view_service_.deadline(), view_stalled_));
        for (const auto& [name, server] : servers_)
            if (server.rules) next = std::min(next, std::max(server.rules->deadline(), server.stalled));
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
        auto give = [&](auto& machine) {
            Effects out;
            if (event.gone)
                machine.gone(*event.gone, now_, out);
            else if (event.probed)
                machine.probed(event.probed->first, event.probed->second, now_, out);
            else
                machine.receive(std::move(event.envelope), now_, out);
            touched_.insert(name);
            carry_out(name, out);
        };
        if (name == "v") return give(view_service_);
        if (auto clerk = clients_.find(name); clerk != clients_.end()) return give(clerk->second);
        auto server = servers_.find(name);
        if (server == servers_.end() || !server->second.rules) return;
        auto held = held_.find({name, event.envelope.peer});
        if (event.gone)
            held_.erase({name, *event.gone});
        else if (held != held_.end())
            return held->second.push_back(std::move(event));
        give(*server->second.rules);
    }
    void turns() {
        auto due = [&](const Address& name, Time deadline) {
            return stalled(name) <= now_ && (deadline <= now_ || touched_.contains(name));
        };
        auto turn = [&](const Address& name, auto& machine) {
            touched_.erase(name);
            Effects out;
            machine.wake(now_, out);
            machine.deep_invariants();
            carry_out(name, out);
        };
        if (due("v", view_service_.deadline())) turn("v", view_service_);
        for (auto& [name, server] : servers_) {
            if (!server.rules || !due(name, server.rules->deadline())) continue;
            turn(name, *server.rules);
            check_state(*server.rules);
        }
        for (auto& [name, clerk] : clients_) {
            if (!due(name, clerk.deadline())) continue;
            turn(name, clerk);
            for (auto& how : clerk.take_finished()) ended(name, how);
        }
        std::erase_if(touched_, [&](const auto& name) { return stalled(name) <= now_; });
    }
    void carry_out(const Address& from, Effects& out) {
        for (const auto& event : out.events) check_event(event);
        for (auto& envelope : out.outbox) send(from, std::move(envelope));
        for (const auto& name : out.probes) probe(name);
        for (const auto& hold : out.holds) {
            if (hold.on)
                held_.try_emplace({from, hold.peer});
            else if (auto found = held_.extract({from, hold.peer}))
                for (auto& event : found.mapped()) post(std::move(event), {});
        }
    }
    /// An answer goes to a life of its receiver and nobody else; a request to whoever has the name.
    void send(const Address& from, Envelope envelope) {
        auto to = without_life(envelope.peer);
        bool answer = to != envelope.peer;
        if (answer && envelope.peer != with_life(to)) return;
        if (blocked_.contains({from, to}) || (!streams_ && !calm_ && one_in(20))) return;
        envelope.peer = answer ? from : with_life(from);
        int copies = !streams_ && !calm_ && one_in(20) ? 2 : 1;
        for (; copies > 1; --copies) post({to, envelope, {}, {}}, travel());
        if (!streams_) return post({to, std::move(envelope), {}, {}}, travel());
        auto& last = last_arrival_[{from, to}];
        last = std::max(last, now_ + travel());
        network_.emplace(last, Arriving{to, std::move(envelope), {}, {}});
    }
    Duration travel() {
        if (calm_) return Duration{1'000'000 + below(2'000'000)};
        return Duration{below(one_in(30) ? 300'000'000 : one_in(4) ? 30'000'000 : 3'000'000)};
    }
    void post(Arriving event, Duration delay) { network_.emplace(now_ + delay, std::move(event)); }
    void probe(const Address& name) {
        auto result = servers_.at(name).rules ? ProbeResult::alive : ProbeResult::refused;
        if (blocked_.contains({"v", name})) result = ProbeResult::unknown;
        post({"v", {}, {}, std::pair{name, result}}, travel());
    }

    Chance chance_;
    bool streams_;  // messages are neither lost nor repeated nor overtaken, but connections break
    std::size_t wanted_;
    Time now_{100s};
    ReplicaOptions options_;
    ViewRules view_service_;
    Time view_stalled_{};
    std::map<Address, Server> servers_;
    std::map<Address, ClerkRules> clients_;
    std::uint64_t lives_ = 0;
    std::set<Address> touched_;  // have received something since their last turn
    int busy_ = 0;

    std::multimap<Time, Arriving> network_;
    std::map<std::pair<Address, Address>, Time> last_arrival_;
    std::set<std::pair<Address, Address>> blocked_;                      // from, to
    std::map<std::pair<Address, Address>, std::vector<Arriving>> held_;  // server, peer: not read for the time being
    bool calm_ = false;

    std::map<Address, std::map<CallKey, Operation>> live_;
    CallKey last_key_ = 0;
    std::size_t floor_ = 0;                      // the list has at least these bytes
    std::string known_;                          // the longest list that was read
    std::map<std::size_t, std::string> places_;  // of answered writes: where each ends in the list
    std::set<std::string> refused_;              // said to have had no effect
    std::map<std::pair<ViewNumber, Index>, std::tuple<Position, std::size_t, std::size_t>> states_;
    bool forced_ = false;
    bool must_succeed_ = false;
    std::size_t answered_ = 0, snapshots_ = 0, cuts_ = 0;
};

}  // namespace understudy::test
