// A ViewStateMachine driven by hand (hand_driver.hpp): servers ping and time passes only when a test says so, and all
// output is kept for the test.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <tests/support/hand_driver.hpp>
#include <understudy/view_service/state_machine.hpp>

namespace understudy::test {

using namespace protocol;
using namespace view_service;

inline constexpr ClusterId our_cluster{0xc1};
inline constexpr Duration interval = 100ms;
inline constexpr Duration dead = 500ms;  // D

/// The contents of a ping, except for its sender.
struct Said {
    std::optional<std::vector<Address>> synced = {};
    std::vector<Address> unreachable = {};
    bool stopped = false;
    bool leaving = false;
    std::vector<Incarnation> recovered = {};
    std::optional<ClusterId> cluster = {};
    Address peer = {};  ///< The connection; if empty, one of the server's own.
};

class ViewHarness {
public:
    explicit ViewHarness(ViewOptions options = {}) : machine(options, our_cluster, Time{1h}) {}

    ViewStateMachine machine;
    Time now{1h};
    std::vector<Envelope> sent;   ///< Everything since the last `clear`.
    std::vector<Event> events;
    std::vector<Address> probes;
    std::string group = "main";
    bool leases = false;           ///< Whether the servers report that they read by lease.
    Address connection = "conn:";  ///< The prefix of the names of their connections; the server's name follows.

    // ---- servers ----

    /// Starts a new incarnation of the server; its next ping names it.
    void restart(const Address& name) { incarnations_[name] = {next_incarnation_++, 0}; }
    Incarnation incarnation(const Address& name) {
        if (!incarnations_.contains(name)) restart(name);
        return Incarnation{incarnations_[name].token};
    }
    Ping make_ping(const Address& name, ViewNumber viewnum, const Said& said = {}) {
        Ping ping{group,
                  name,
                  incarnation(name),
                  ++incarnations_[name].n,
                  viewnum,
                  said.cluster,
                  said.synced,
                  said.unreachable,
                  said.stopped,
                  said.leaving,
                  said.recovered,
                  protocol_version,
                  leases,
                  {}};
        return ping;
    }
    /// Sends a ping, which is a whole turn, and returns the answer.
    PingResult ping(const Address& name, ViewNumber viewnum, const Said& said = {}) {
        auto answer = call(said.peer.empty() ? connection + name : said.peer, make_ping(name, viewnum, said));
        auto* result = std::get_if<PingResult>(&answer);
        return result ? *result : PingResult{};
    }
    /// The primary pings with its view and reports every backup as in sync.
    PingResult ack() {
        std::vector<Address> all;
        for (const auto& backup : view().backups) all.push_back(backup.name);
        return ping(view().primary.name, view().number, {.synced = std::move(all)});
    }
    /// Sends the ping of a server that has the current view; if it is the primary, it acks.
    void act(const Address& name) {
        bool member = view().member(name) && view().member(name)->incarnation == incarnation(name);
        if (member && view().primary.name == name) ack();
        else ping(name, view().number);
    }

    // ---- calls and time ----

    /// Makes a call and ends its turn; returns the answer, or a Failure with an empty text if there was none.
    Message call(const Address& peer, Message message) {
        auto id = std::to_string(++calls_);
        turn(Envelope{peer, id, std::move(message)});
        return answer_to(id);
    }
    std::string last_id() const { return std::to_string(calls_); }
    Message answer_to(const CallId& id) const {
        auto found = std::ranges::find(sent, id, &Envelope::id);
        return found == sent.end() ? Message{Failure{}} : found->message;
    }
    void receive(Envelope envelope) {
        arrive(machine, std::move(envelope), now, output_);
        collect();
    }
    void disconnected(const Address& peer) { turn(ConnectionEnded{peer}); }
    void probed(const Address& name, ProbeResult result) { turn(ProbeEnded{name, result}); }
    void wake() { turn(); }
    /// Lets time pass; the service wakes at its deadlines.
    void pass(Duration length) {
        const auto end = now + length;
        turn_at_deadlines(machine, now, end, [&] { turn(); });
        now = end;
    }
    /// Lets time pass while each of these servers acts once per interval.
    void run(Duration length, const std::vector<Address>& names) {
        for (auto end = now + length; now < end;) {
            for (const auto& name : names) act(name);
            pass(interval);
        }
    }

    // ---- what came of it ----

    const View& view() const { return view_of(machine.view(group)); }
    std::string shown() const { return describe(view()); }
    GroupStatus status() const {
        auto all = machine.status(group, now);
        return all.groups.empty() ? GroupStatus{} : all.groups.front();
    }
    std::string role(const Address& name) const {
        for (const auto& server : status().servers)
            if (server.name == name) return server.role;
        return "unknown";
    }
    template <typename E>
    std::vector<E> emitted() const {
        std::vector<E> found;
        for (const auto& event : events)
            if (auto* one = std::get_if<E>(&event)) found.push_back(*one);
        return found;
    }
    std::string why() const {
        auto decided = emitted<ViewDecided>();
        return decided.empty() ? "" : decided.back().why;
    }
    /// The peers to which a view was pushed.
    std::vector<Address> pushed() const {
        std::vector<Address> peers;
        for (const auto& [peer, id, message] : sent)
            if (id.empty() && std::holds_alternative<ViewChanged>(message)) peers.push_back(peer);
        std::ranges::sort(peers);
        return peers;
    }
    void clear() {
        sent.clear();
        events.clear();
        probes.clear();
    }

    // ---- scenes ----

    /// Sets up a group of these servers in this order: as many backups as there is room for, in sync and acked.
    void set_up(const std::vector<Address>& names) {
        for (const auto& name : names) ping(name, 0);
        for (std::size_t i = 0; i <= names.size(); ++i) run(interval, names);
        clear();
    }

private:
    struct Process {
        std::uint64_t token = 0;
        std::uint64_t n = 0;
    };
    template <typename... Arrived>
    void turn(Arrived... arrived) {
        take_turn(machine, now, output_, std::move(arrived)...);
        collect();
    }
    void collect() {
        carry_out(output_, Overloaded{[&](Envelope& one) { sent.push_back(std::move(one)); },
                                      [&](Address& one) { probes.push_back(std::move(one)); },
                                      [&](Event& one) { events.push_back(std::move(one)); }});
    }
    std::map<Address, Process> incarnations_;
    std::uint64_t next_incarnation_ = 1;
    std::uint64_t calls_ = 0;
    view_service::Output output_;
};

/// The error of an answer, and its text.
inline error code_of(const Message& answer) { return std::get<Failure>(answer).code; }
inline std::string text_of(const Message& answer) { return std::get<Failure>(answer).text; }

}  // namespace understudy::test
