// A whole group as a model to explore: the view service, its servers, the messages between them and the answers to
// clients. A state holds only numbers of state machines and messages (explored_nodes.hpp), so it is small and exact.
//
// Possible steps: a message in flight is delivered, or is delivered and stays in flight to be delivered again, or is
// never delivered (that is a lost message); a process dies, and the view service learns it at once or not at all, and a
// new process takes the name; the clock of a server or of the view service advances. Clients are not state machines
// here: a request reaches a server in the step that names it, at a moment when that server serves, as often as the plan
// allows; an answer counts as received when it is sent. Both are the hardest case: a later answer or an earlier request
// would demand less.
// Not modelled within the bounds: news of broken connections between servers, more messages than fit into a state
// (further ones are lost), a restart of the view service.
// Omitted because they lead to no new behaviour: a delivery that changes nothing; views and acknowledgements older than
// what their receiver knows already; a ping that arrives after a later one of the same server (the view that its answer
// would bring is in flight in a push, or in the answer to the later ping).
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "explored_nodes.hpp"

namespace understudy::test {

using namespace protocol;
using namespace replica;

/// How often each kind of event may happen on one path.
struct GroupBudget {
    std::uint8_t crashes = 1;
    std::uint8_t silences = 1;   ///< D passes at the view service, which receives no ping.
    std::uint8_t intervals = 2;  ///< A ping interval passes at one server.
    std::uint8_t stalls = 0;     ///< D/2 passes at one server.
    std::uint8_t repeats = 1;
    friend bool operator==(const GroupBudget&, const GroupBudget&) = default;
};

struct GroupPlan {
    std::uint8_t members = 2;  ///< In sync when the search begins, `a` the primary.
    std::uint8_t spares = 0;   ///< Started; their first ping is in flight.
    std::size_t backups = 1;
    std::vector<Operation> operations{{"x", true, 1, 1}, {"y", true, 2, 2, 0}, {}};
    std::uint8_t answered = 0;  ///< How many of the first operations were answered; the backups do not know that yet.
    bool promoted = false;      ///< `a` was silent for D: when the search begins `b` leads, and `a` does not know that.
    GroupBudget budget{};
    ReplicaOptions options{};
    Tamper tamper{};
};

class ExploredGroup {
public:
    static constexpr std::size_t max_servers = 4, max_wire = 20, max_operations = 3, max_log = 8;

    struct Asked {
        std::uint8_t arrivals = 0;
        std::array<std::uint8_t, 2> floor{};  // which writes had been answered when the operation arrived
        bool answered = false;
        std::uint8_t view = 0, index = 0;  // of the entry, if it is a write
        friend bool operator==(const Asked&, const Asked&) = default;
    };
    struct State {
        std::array<std::uint32_t, max_servers + 1> nodes{};  // 0 for a server: it is down
        std::array<std::uint8_t, max_servers + 1> incarnations{};
        std::array<std::uint32_t, max_wire> wire{};  // sorted; each is the number of a flight plus one
        std::array<Asked, max_operations> asked{};
        // incarnation and number of the last ping received
        std::array<std::pair<std::uint8_t, std::uint8_t>, max_servers + 1> heard{};
        std::array<std::uint8_t, max_log> chosen{};  // by index: the view of the entry that some server committed
        GroupBudget left;
        std::uint16_t fault = 0;
        friend bool operator==(const State&, const State&) = default;
    };

    explicit ExploredGroup(GroupPlan plan)
        : plan_(std::move(plan)), pool_(plan_.operations, plan_.backups, plan_.options, plan_.tamper) {
        faults_.insert({}, 0);
        UNDERSTUDY_CHECK(plan_.members + plan_.spares <= max_servers && plan_.operations.size() <= max_operations);
    }

    /// A group of the plan's members at rest, with an open session.
    State start();

    std::vector<sim::Successor<State>> successors(const State& state);
    std::optional<std::string> violated(const State& state) const;
    std::uint64_t digest(const State& state) const;

    std::string sizes() const { return pool_.sizes(); }
    std::size_t overflows() const { return overflows_; }

private:
    using NodePool = ExploredNodes;
    using Input = NodePool::Input;
    static constexpr auto service = NodePool::service;

    std::uint8_t servers() const { return static_cast<std::uint8_t>(plan_.members + plan_.spares); }
    // The pool numbers its first replica 0, but in a state 0 says that a server is down.
    const NodePool::Replica& replica(const State& state, std::uint8_t server) const {
        return pool_.replica(state.nodes[server] - 1);
    }
    const View& view(const State& state) const {
        return view_of(pool_.views(state.nodes[service]).view(NodePool::group));
    }

    void act(State& state, std::uint8_t process, Input input, std::uint32_t argument);
    void reply(State& state, const NodePool::Reply& reply);
    void note_chosen(State& state, std::uint8_t server);
    void begin(State& state, std::uint8_t server) {
        ++state.incarnations[server];
        act(state, server, Input::start, state.incarnations[server]);
    }
    void arrive(State& state, std::uint32_t flight);
    void arrive(State& state, std::size_t operation, std::uint8_t server);
    void crash(State& state, std::uint8_t server);
    void drain(State& state);
    void settle(State& state);
    void promote(State& state);
    void fail(State& state, const std::string& what) {
        if (state.fault == 0)
            state.fault = static_cast<std::uint16_t>(faults_.insert(what, std::hash<std::string>{}(what)).id);
    }
    void send(State& state, std::uint32_t flight) {
        if (state.wire.back() != 0)
            ++overflows_;
        else if (!std::ranges::count(state.wire, flight + 1)) {
            state.wire.back() = flight + 1;
            std::ranges::sort(state.wire, {}, [](auto id) { return id == 0 ? ~std::uint32_t{0} : id; });
        }
    }
    bool pointless(const State& state, const Flight& flight) const;
    /// Whether nothing has changed except that a message left the network.
    static bool nothing_new(const State& state, const State& after) {
        auto sent = [&](std::uint32_t id) { return id != 0 && std::ranges::find(state.wire, id) == state.wire.end(); };
        return after.nodes == state.nodes && after.asked == state.asked && after.fault == 0 &&
               std::ranges::none_of(after.wire, sent);
    }
    /// Removes messages that can have no effect any more: they must not make states different.
    void tidy(State& state) {
        for (auto id : State{state}.wire)
            if (id != 0 && pointless(state, pool_.flight(id - 1))) remove(state, id - 1);
    }
    static void remove(State& state, std::uint32_t flight) {
        auto end = std::ranges::remove(state.wire, flight + 1);
        std::ranges::fill(end, 0);
    }
    bool holds(const State& state, const Member& member, const Asked& write) const;

    GroupPlan plan_;
    NodePool pool_;
    sim::Pool<std::string> faults_;
    std::size_t overflows_ = 0;
    std::optional<SessionId> session_;
};

// ---- steps ------------------------------------------------------------------------------------------------

inline void ExploredGroup::act(State& state, std::uint8_t process, Input input, std::uint32_t argument) {
    auto own = process == service || state.nodes[process] == 0 ? state.nodes[process] : state.nodes[process] - 1;
    const auto& turn = pool_.turn(process, own, input, argument);
    if (!turn.fault.empty()) return fail(state, turn.fault);
    state.nodes[process] = process == service ? turn.node : turn.node + 1;
    for (auto flight : turn.sent) {
        const auto& sent = pool_.flight(flight);
        if (sent.incarnation == 0 || sent.incarnation == state.incarnations[sent.to]) send(state, flight);
    }
    for (const auto& one : turn.replies) reply(state, one);
    if (process != service) note_chosen(state, process);
}

/// S4: once one server knows an entry to be committed, no server may commit another entry at that index.
inline void ExploredGroup::note_chosen(State& state, std::uint8_t server) {
    const auto& held = replica(state, server).state();
    for (Index index = held.log.base().index; index <= held.commit; ++index) {
        auto at = held.log.position(index);
        if (index == 0 || index > max_log || !at) continue;
        auto& view = state.chosen[index - 1];
        if (view == 0) view = static_cast<std::uint8_t>(at->view);
        if (view != at->view)
            fail(state, "entry " + std::to_string(index) + " was committed as one of view " + std::to_string(view) +
                            ", and by " + NodePool::name(server) + " as one of view " + std::to_string(at->view));
    }
}

inline void ExploredGroup::reply(State& state, const NodePool::Reply& reply) {
    if (reply.operation == NodePool::open_session) {
        session_ = std::get<OpenResult>(reply.message).session;
        return;
    }
    auto& asked = state.asked[reply.operation];
    auto floor = asked.floor[reply.arrival];
    const auto& text = plan_.operations[reply.operation].text;
    if (const auto* result = std::get_if<ExecuteResult>(&reply.message)) {
        bool other = asked.answered && Position{asked.view, asked.index} != result->at;
        if (other && plan_.operations[reply.operation].session)
            fail(state, "the command " + text + " was answered twice with different places");
        asked.answered = true;
        asked.view = static_cast<std::uint8_t>(result->at.view);
        asked.index = static_cast<std::uint8_t>(result->at.index);
    }
    const auto* result = std::get_if<QueryResult>(&reply.message);
    if (!result) return;
    asked.answered = true;
    for (std::size_t i = 0; i < plan_.operations.size(); ++i)
        if ((floor >> i & 1) && result->value.find(plan_.operations[i].text + ";") == std::string::npos)
            fail(state, "a read of `" + result->value + "` misses " + plan_.operations[i].text +
                            ", which was answered before");
}

inline bool ExploredGroup::pointless(const State& state, const Flight& flight) const {
    const auto& message = flight.envelope.message;
    if (flight.to == service) {
        const auto* ping = std::get_if<Ping>(&message);
        if (!ping || flight.broken) return false;
        auto [incarnation, n] = state.heard[flight.from];
        auto token = NodePool::token(flight.from, incarnation);
        return ping->incarnation == token ? ping->n <= n : ping->incarnation < token;
    }
    if (state.nodes[flight.to] == 0) return false;
    const auto& known = replica(state, flight.to).view().view;
    if (const auto* answer = std::get_if<PingResult>(&message))
        return !answer->stop && !is_newer(answer->info.view, known);
    if (const auto* push = std::get_if<ViewChanged>(&message)) return !is_newer(push->info.view, known);
    if (const auto* yes = std::get_if<AppendResult>(&message)) return yes->view < known.number;
    if (const auto* next = std::get_if<InstallResult>(&message)) return next->view < known.number;
    return false;
}

inline void ExploredGroup::arrive(State& state, std::uint32_t id) {
    const auto& flight = pool_.flight(id);
    if (const auto* ping = std::get_if<Ping>(&flight.envelope.message)) {
        auto incarnation = static_cast<std::uint64_t>(ping->incarnation) % 100;
        state.heard[flight.from] = {static_cast<std::uint8_t>(incarnation), static_cast<std::uint8_t>(ping->n)};
    }
    if (!flight.broken) return act(state, flight.to, Input::receive, id);
    act(state, flight.to, state.nodes[flight.from] == 0 ? Input::refused : Input::alive, id);
}
inline void ExploredGroup::arrive(State& state, std::size_t operation, std::uint8_t server) {
    auto& asked = state.asked[operation];
    std::uint8_t floor = 0;
    for (std::size_t i = 0; i < plan_.operations.size(); ++i)
        if (state.asked[i].answered && !plan_.operations[i].read()) floor |= static_cast<std::uint8_t>(1u << i);
    asked.floor[asked.arrivals] = floor;
    act(state, server, Input::request, static_cast<std::uint32_t>(operation * 16 + asked.arrivals++));
}
inline void ExploredGroup::crash(State& state, std::uint8_t server) {
    state.nodes[server] = 0;
    for (auto id : State{state}.wire)
        if (id != 0 && pool_.flight(id - 1).to == server && pool_.flight(id - 1).incarnation != 0)
            remove(state, id - 1);
    send(state, pool_.broken(server, state.incarnations[server]));
}

/// Delivers all messages in flight, in order.
inline void ExploredGroup::drain(State& state) {
    while (state.wire[0] != 0) {
        auto flight = state.wire[0] - 1;
        remove(state, flight);
        arrive(state, flight);
    }
}
/// Delivers everything in order and lets time pass at the servers, until they are at rest.
inline void ExploredGroup::settle(State& state) {
    for (int round = 0; round < 8; ++round) {
        drain(state);
        for (std::uint8_t server = 1; server <= servers(); ++server)
            if (state.nodes[server] != 0 && round < 7) act(state, server, Input::interval, 0);
    }
}

inline void ExploredGroup::promote(State& state) {
    act(state, 2, Input::interval, 0);
    act(state, service, Input::silence, 0);
    for (int round = 0; round < 2; ++round)  // the ping of b, then its answer
        for (auto id : State{state}.wire) {
            if (id == 0) break;
            const auto& flight = pool_.flight(id - 1);
            if ((flight.from != 2 || flight.to != service) && (flight.from != service || flight.to != 2)) continue;
            remove(state, id - 1);
            arrive(state, id - 1);
        }
    tidy(state);
    UNDERSTUDY_CHECK(replica(state, 1).serving() && replica(state, 2).serving());
}

inline ExploredGroup::State ExploredGroup::start() {
    State state;
    state.left = plan_.budget;
    for (std::uint8_t server = 1; server <= plan_.members; ++server) {
        begin(state, server);
        settle(state);
    }
    UNDERSTUDY_CHECK(view(state).synced_count() + 1 == plan_.members);
    act(state, 1, Input::request, NodePool::open_session * 16);
    settle(state);
    pool_.use_session(session_.value());
    for (std::size_t i = 0; i < plan_.answered; ++i) {
        arrive(state, i, 1);
        drain(state);
        UNDERSTUDY_CHECK(state.asked[i].answered);
    }
    for (auto server = static_cast<std::uint8_t>(plan_.members + 1); server <= servers(); ++server)
        begin(state, server);
    if (plan_.promoted) promote(state);
    return state;
}

inline std::vector<sim::Successor<ExploredGroup::State>> ExploredGroup::successors(const State& state) {
    std::vector<sim::Successor<State>> next;
    if (state.fault != 0) return next;
    auto take = [&](std::string label, std::uint8_t GroupBudget::*budget, auto step) {
        if (budget && state.left.*budget == 0) return;
        auto& after = next.emplace_back(std::move(label), state).state;
        if (budget) --(after.left.*budget);
        step(after);
        tidy(after);
        if (nothing_new(state, after)) next.pop_back();
    };
    for (auto id : state.wire) {
        if (id == 0) break;
        const auto& flight = pool_.flight(id - 1);
        if (flight.to != service && state.nodes[flight.to] == 0) continue;
        const auto& label = pool_.label(id - 1);
        take(label, nullptr, [&](State& after) { remove(after, id - 1), arrive(after, id - 1); });
        // for other messages a repeat would change nothing
        if (!flight.broken && flight.to != service && flight.from != service)
            take(label + ", and again later", &GroupBudget::repeats, [&](State& after) { arrive(after, id - 1); });
    }
    for (std::uint8_t server = 1; server <= servers(); ++server) {
        auto name = NodePool::name(server);
        if (state.nodes[server] == 0) {
            take(name + " is started anew", nullptr, [&](State& after) { begin(after, server); });
            continue;
        }
        take("a ping interval passes at " + name, &GroupBudget::intervals,
             [&](State& after) { act(after, server, Input::interval, 0); });
        take("D/2 passes at " + name, &GroupBudget::stalls, [&](State& after) { act(after, server, Input::stall, 0); });
        take(name + " dies", &GroupBudget::crashes, [&](State& after) { crash(after, server); });
        for (std::size_t i = 0; i < plan_.operations.size(); ++i) {
            const auto& operation = plan_.operations[i];
            bool due = operation.after < 0 || state.asked[static_cast<std::size_t>(operation.after)].answered;
            if (!due || state.asked[i].arrivals >= operation.arrivals || !replica(state, server).serving()) continue;
            auto what = operation.read() ? std::string{"a read"} : "command " + operation.text;
            take(what + " reaches " + name + (state.asked[i].arrivals > 0 ? " again" : ""), nullptr,
                 [&](State& after) { arrive(after, i, server); });
        }
    }
    take("D passes at v and it hears nobody", &GroupBudget::silences,
         [&](State& after) { act(after, service, Input::silence, 0); });
    return next;
}

// ---- what must hold -----------------------------------------------------------------------------------------

inline bool ExploredGroup::holds(const State& state, const Member& member, const Asked& write) const {
    auto server = NodePool::process(member.name);
    if (state.nodes[server] == 0 || NodePool::token(server, state.incarnations[server]) != member.incarnation)
        return true;
    const auto& log = replica(state, server).state().log;
    return write.index <= log.base().index || log.has({write.view, write.index});
}

inline std::optional<std::string> ExploredGroup::violated(const State& state) const {
    if (state.fault != 0) return faults_[state.fault];
    const auto& now = view(state);
    for (std::size_t i = 0; i < plan_.operations.size(); ++i) {
        const auto& asked = state.asked[i];
        if (!asked.answered || plan_.operations[i].read()) continue;
        auto lost = [&](const Member& member) {
            return member.name + " may lead after " + describe(now) + " and lacks the answered command " +
                   plan_.operations[i].text;
        };
        if (!holds(state, now.primary, asked)) return lost(now.primary);
        for (const auto& backup : now.backups)
            if (backup.synced && !holds(state, backup, asked)) return lost(backup);
    }
    const ReplicatedState<ListStore>* other = nullptr;
    for (std::uint8_t server = 1; server <= servers(); ++server) {
        if (state.nodes[server] == 0) continue;
        const auto& mine = replica(state, server).state();
        for (const auto& operation : plan_.operations) {
            auto at = operation.read() ? std::string::npos : mine.store.all.find(operation.text + ";");
            if (at != std::string::npos && mine.store.all.find(operation.text + ";", at + 1) != std::string::npos)
                return "the command " + operation.text + " took effect twice: " + mine.store.all;
        }
        for (std::uint8_t before = 1; before < server; ++before) {
            if (state.nodes[before] == 0) continue;
            other = &replica(state, before).state();
            if (other->applied != mine.applied) continue;
            if (!(other->store == mine.store && other->sessions == mine.sessions))
                return NodePool::name(before) + " and " + NodePool::name(server) + " differ at one index";
        }
    }
    return std::nullopt;
}

inline std::uint64_t ExploredGroup::digest(const State& state) const {
    std::uint64_t hash = state.fault;
    auto fold = [&](std::uint64_t value) { hash = sim::mix(hash, value); };
    for (std::size_t i = 0; i < state.nodes.size(); ++i)
        fold(std::uint64_t{state.nodes[i]} << 8 | state.incarnations[i]);
    for (auto id : state.wire)
        if (id != 0) fold(id);
    for (const auto& asked : state.asked)
        fold(std::uint64_t{asked.view} << 40 | std::uint64_t{asked.index} << 32 | std::uint64_t{asked.floor[0]} << 24 |
             std::uint64_t{asked.floor[1]} << 16 | std::uint64_t{asked.arrivals} << 8 | std::uint64_t{asked.answered});
    const auto& left = state.left;
    for (auto value : {left.crashes, left.silences, left.intervals, left.stalls, left.repeats}) fold(value);
    for (auto view : state.chosen) fold(view);
    for (auto [incarnation, n] : state.heard) fold(std::uint64_t{incarnation} << 8 | n);
    return hash;
}

}  // namespace understudy::test
