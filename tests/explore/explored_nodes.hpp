// The nodes of a group to explore: each is a state machine with its own clock, kept in a pool and named by a number.
// What a node does with an input depends on nothing else, so each such turn is computed once and cached. The turns are
// those of hand_driver.hpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include <tests/support/hand_driver.hpp>
#include <tests/support/list_store.hpp>
#include <understudy/replica/state_machine.hpp>
#include <understudy/sim/check/explore.hpp>
#include <understudy/view_service/state_machine.hpp>

namespace understudy::test {

using namespace protocol;
using namespace view_service;
using namespace replica;

/// A client's request; it is the same each time that it is sent.
struct Operation {
    std::string text;  ///< A unique command; if empty, the operation is a read.
    bool session = true;
    Sequence seq = 0;
    Sequence low = 0;
    int after = -1;             ///< It is sent only after that operation was answered.
    std::uint8_t arrivals = 2;  ///< How often it may reach a server: repeated by the network or by its client.

    bool read() const { return text.empty(); }
};

/// A message in flight.
struct Flight {
    std::uint8_t from = 0, to = 0;
    std::uint8_t incarnation = 0;  ///< The receiver's incarnation; 0: any process that has the name.
    bool broken = false;    ///< Not a message: the connection of `peer` ended.
    Envelope envelope;      ///< Its `peer` is the sender, as the receiver knows it.
    friend bool operator==(const Flight&, const Flight&) = default;
};

/// Shows a message in a few words.
struct ShowMessage {
    std::string operator()(const Ping& m) const {
        auto said = "ping " + std::to_string(m.n) + " of view " + std::to_string(m.viewnum);
        if (m.synced) said += ", in sync {" + understudy::detail::join(*m.synced) + "}";
        if (!m.unreachable.empty()) said += ", unreachable {" + understudy::detail::join(m.unreachable) + "}";
        return said;
    }
    std::string operator()(const PingResult& m) const { return describe(m.info.view) + " (answer)"; }
    std::string operator()(const ViewChanged& m) const { return describe(m.info.view) + " (push)"; }
    std::string operator()(const Append& m) const {
        return "append of view " + std::to_string(m.view.number) + ", " + std::to_string(m.entries.size()) +
               " entries after " + std::to_string(m.prev.index) + ", commit " + std::to_string(m.commit) + ", round " +
               std::to_string(m.round);
    }
    std::string operator()(const AppendResult& m) const {
        return "yes in view " + std::to_string(m.view) + ", match " + std::to_string(m.match) + ", round " +
               std::to_string(m.round);
    }
    std::string operator()(const Install& m) const {
        return "chunk " + std::to_string(m.chunk) + " of a snapshot at " + std::to_string(m.snapshot.at.index) +
               (m.last ? ", the last" : "");
    }
    std::string operator()(const InstallResult& m) const { return "wants chunk " + std::to_string(m.next); }
    std::string operator()(const Failure& m) const { return "refused " + m.to + ": " + std::string{to_string(m.code)}; }
    std::string operator()(const auto& m) const { return "message " + std::to_string(Message{m}.index()); }
};

/// Changes a message that is sent; `asked` is the message that it answers, if that was received in this turn. Tests use
/// this to put a deliberate error into the protocol.
using Tamper = std::function<void(const Message* asked, Message& sent)>;

class ExploredNodes {
public:
    using Replica = ReplicaStateMachine<ListStore>;
    static constexpr std::uint8_t service = 0;  ///< The view service's number; the servers follow.
    static inline const std::string group = "main";
    static inline const Address client = "client#0";
    static constexpr ClusterId cluster{7};

    /// A state machine and its clock. Nodes never compare clocks, so each has its own, which advances only in the
    /// node's turns.
    template <typename M>
    struct Node {
        M machine;
        Time now;
        std::uint8_t incarnation = 0;
        friend bool operator==(const Node&, const Node&) = default;
    };
    enum class Input : std::uint8_t {
        receive,   ///< a message in flight
        request,   ///< an operation arrives
        interval,  ///< a ping interval passes on its clock
        stall,     ///< D/2 passes unnoticed, then the server checks twice (S7)
        silence,   ///< of the view service: D passes without a ping
        refused,   ///< of the view service: a connection broke, and the address refuses a new one
        alive,     ///< of the view service: a connection broke, and a process listens at the address
        start,     ///< a new incarnation
    };
    struct Reply {
        std::size_t operation;
        std::size_t arrival;
        Message message;
    };
    struct Turn {
        std::uint32_t node = 0;
        std::vector<std::uint32_t> sent;
        std::vector<Reply> replies;
        std::string fault;
    };

    ExploredNodes(std::vector<Operation> operations, std::size_t backups, ReplicaOptions options, Tamper tamper)
        : operations_(std::move(operations)), options_(std::move(options)), tamper_(std::move(tamper)) {
        options_.view_service = {"v"};
        ViewOptions view_options{.backups = backups, .max_events = 0};
        keep(Node<ViewStateMachine>{ViewStateMachine{view_options, cluster, began}, began});
    }

    const Turn& turn(std::uint8_t process, std::uint32_t node, Input input, std::uint32_t argument) {
        auto key = std::uint64_t{node} << 36 | std::uint64_t{argument} << 8 | std::uint64_t{process} << 4 |
                   static_cast<std::uint64_t>(input);
        auto [found, fresh] = turns_.try_emplace(key, static_cast<std::uint32_t>(done_.size()));
        if (fresh)
            done_.push_back(process == service ? take(services_[node], input, argument)
                                             : take(process, node, input, argument));
        return done_[found->second];
    }
    const ViewStateMachine& views(std::uint32_t node) const { return services_[node].machine; }
    const Replica& replica(std::uint32_t node) const { return replicas_[node].machine; }
    const Flight& flight(std::uint32_t id) const { return flights_[id]; }
    const std::string& label(std::uint32_t flight) const { return labels_[flight]; }
    const std::vector<Operation>& operations() const { return operations_; }
    void use_session(SessionId session) { session_ = session; }

    /// A flight that informs the view service of a dead process.
    std::uint32_t broken(std::uint8_t server, std::uint8_t incarnation) {
        return keep(Flight{server, service, 0, true, {process_name(name(server), incarnation), {}, {}}});
    }
    static Address name(std::uint8_t process) { return Address(1, process == service ? 'v' : char('a' + process - 1)); }
    static std::uint8_t process(const Address& name) {
        return name[0] == 'v' ? service : static_cast<std::uint8_t>(name[0] - 'a' + 1);
    }
    static Incarnation token(std::uint8_t server, std::uint8_t incarnation) {
        return Incarnation{server * std::uint64_t{100} + incarnation};
    }

    std::string sizes() const {
        return std::to_string(services_.size()) + " view services, " + std::to_string(replicas_.size()) +
               " replicas, " + std::to_string(flights_.size()) + " messages, " + std::to_string(done_.size()) +
               " turns";
    }

    /// The operation that opens the session.
    static constexpr std::uint32_t open_session = 15;

private:
    static constexpr Time began{1h};

    template <typename Act>
    Turn guarded(Act act) {
        struct Failed {
            std::string what;
        };
        auto before = set_check_handler([](const char* condition, const char* file, int line) {
            throw Failed{std::string{condition} + " (" + file + ":" + std::to_string(line) + ")"};
        });
        Turn turn;
        try {
            act(turn);
        } catch (const Failed& failed) {
            turn.fault = "check failed: " + failed.what;
        }
        set_check_handler(before);
        return turn;
    }

    Turn take(Node<ViewStateMachine> node, Input input, std::uint32_t argument) {
        return guarded([&](Turn& turn) {
            view_service::Output out;
            auto& [machine, now, incarnation] = node;
            const auto* flight = input == Input::silence ? nullptr : &flights_[argument];
            if (input == Input::receive) arrive(machine, flight->envelope, now, out);
            if (input == Input::refused || input == Input::alive) {
                arrive(machine, ConnectionEnded{flight->envelope.peer}, now, out);
                const auto result = input == Input::refused ? ProbeResult::refused : ProbeResult::alive;
                for (const auto& address : std::exchange(out.probes, {}))
                    arrive(machine, ProbeEnded{address, result}, now, out);
            }
            if (input == Input::silence) {
                const auto end = now + ViewOptions{}.dead_after() + 3 * ViewOptions{}.ping_interval;
                turn_at_deadlines(machine, now, end, [&] { take_turn(machine, now, out); });
            }
            take_turn(machine, now, out);
            carry_out(service, 0, out, nullptr, turn);
            turn.node = keep(std::move(node));
        });
    }
    Turn take(std::uint8_t process, std::uint32_t id, Input input, std::uint32_t argument) {
        return guarded([&](Turn& turn) {
            auto incarnation = static_cast<std::uint8_t>(argument);
            auto node =
                input != Input::start
                    ? replicas_[id]
                    : Node<Replica>{
                          {{}, options_, name(process), token(process, incarnation), began}, began, incarnation};
            replica::Output out;
            const Message* asked = nullptr;
            if (input == Input::receive) {
                asked = &flights_[argument].envelope.message;
                arrive(node.machine, flights_[argument].envelope, node.now, out);
            }
            if (input == Input::request)
                arrive(node.machine, Envelope{client, std::to_string(argument), request(argument)}, node.now, out);
            if (input == Input::interval) node.now += ViewOptions{}.ping_interval;
            if (input == Input::stall) {
                node.now += ViewOptions{}.dead_after() / 2;
                take_turn(node.machine, node.now, out);
                node.now += ViewOptions{}.dead_after() / 50;
            }
            take_turn(node.machine, node.now, out);
            carry_out(process, node.incarnation, out, asked, turn);
            turn.node = keep(std::move(node));
        });
    }
    Message request(std::uint32_t argument) const {
        if (argument / 16 == open_session) return Open{cluster, group};
        const auto& asked = operations_[argument / 16];
        if (asked.read()) return Query{cluster, group, "all"};
        if (!asked.session) return Execute{cluster, group, {}, 0, 0, asked.text};
        return Execute{cluster, group, session_, asked.seq, asked.low, asked.text};
    }

    void carry_out(std::uint8_t from, std::uint8_t incarnation, CommonOutput& out, const Message* asked, Turn& turn) {
        const auto send = [&](Envelope& envelope) {
            if (envelope.peer == client) {
                auto id = envelope.id.number();
                turn.replies.push_back({id / 16, id % 16, std::move(envelope.message)});
                return;
            }
            if (tamper_) tamper_(asked, envelope.message);
            auto [to, life] = pass_on(envelope, name(from), incarnation);
            auto to_life = static_cast<std::uint8_t>(life.value_or(0));
            turn.sent.push_back(keep(Flight{from, process(to), to_life, false, std::move(envelope)}));
        };
        const auto emit = [&](const Event& event) {
            const auto* cut = std::get_if<LogTruncated>(&event);
            if ((cut && cut->committed) || is_never_right(event)) turn.fault = name(from) + ": " + describe(event);
        };
        test::carry_out(out, Overloaded{send, emit});
    }

    // ---- what is kept, found by a partial digest -----------------------------------------------------------

    static std::uint64_t fold(std::uint64_t hash, const View& view) {
        hash = sim::mix(hash, sim::mix(view.number, view.synced_count()));
        return sim::mix(hash, static_cast<std::uint64_t>(view.primary.incarnation));
    }
    static std::uint64_t fold(std::uint64_t hash, Time time) {
        return sim::mix(hash, static_cast<std::uint64_t>(time.time_since_epoch().count()));
    }
    std::uint32_t keep(Node<ViewStateMachine> node) {
        auto hash = fold(fold(0, node.now), node.machine.deadline());
        for (const auto& one : node.machine.status(group, node.now).groups) {
            hash = sim::mix(fold(hash, one.info.view), std::uint64_t{one.acked});
            for (const auto& server : one.servers)
                hash = sim::mix(sim::mix(hash, server.role),
                                sim::mix(static_cast<std::uint64_t>(server.incarnation), server.viewnum));
        }
        return services_.insert(std::move(node), hash).id;
    }
    std::uint32_t keep(Node<Replica> node) {
        auto status = node.machine.status(node.now);
        auto hash = fold(fold(0, node.now), node.machine.deadline());
        hash = fold(sim::mix(hash, static_cast<std::uint64_t>(status.incarnation)), status.info.view);
        const auto& state = node.machine.state();
        for (auto index :
             {status.last, status.commit, status.applied, state.log.last().view, Index{node.machine.serving()}})
            hash = sim::mix(hash, index);
        hash = sim::mix(hash, state.store.all);
        for (const auto& backup : status.backups) hash = sim::mix(sim::mix(hash, backup.state), backup.match);
        return replicas_.insert(std::move(node), hash).id;
    }
    std::uint32_t keep(Flight flight) {
        auto hash =
            sim::mix(std::uint64_t{flight.from} << 16 | flight.to << 8 | flight.incarnation, flight.envelope.id.json());
        hash = sim::mix(hash, sim::mix(flight.envelope.message.index(), std::uint64_t{flight.broken}));
        auto text = show(flight);
        hash = sim::mix(hash, text);
        auto [id, fresh] = flights_.insert(std::move(flight), hash);
        if (fresh) labels_.push_back(std::move(text));
        return id;
    }
    static std::string show(const Flight& flight) {
        auto text = name(flight.to) + " hears from " + name(flight.from) + ": ";
        if (flight.broken)
            return name(flight.to) + " learns that the connection of " + flight.envelope.peer.address() + " ended";
        return text + std::visit(ShowMessage{}, flight.envelope.message);
    }

    std::vector<Operation> operations_;
    ReplicaOptions options_;
    Tamper tamper_;
    SessionId session_;
    sim::Pool<Node<ViewStateMachine>> services_;
    sim::Pool<Node<Replica>> replicas_;
    sim::Pool<Flight> flights_;
    std::deque<std::string> labels_;
    std::unordered_map<std::uint64_t, std::uint32_t> turns_;
    std::deque<Turn> done_;
};

}  // namespace understudy::test
