// A few replicas side by side, driven by hand (hand_driver.hpp) and without a view service: the test decides the views
// and what is delivered.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <understudy/replica/state_machine.hpp>

#include <doctest/doctest.h>

#include "hand_driver.hpp"
#include "journal_model.hpp"
#include "list_store.hpp"
#include "promotable.hpp"

namespace understudy::test {

using namespace protocol;
using namespace replica;

using Replica = ReplicaStateMachine<ListStore>;

struct ReplicaGroup {
    static constexpr ClusterId cluster{77};
    static inline const Address views = "views";
    static inline const Address client = "client";

    ReplicaOptions options{.view_service = {views}};
    Time now{std::chrono::seconds{100}};
    std::map<Address, Replica> servers;
    std::deque<std::pair<Address, Envelope>> wire;  // (sender, envelope to the receiver)
    std::vector<Envelope> answers;                  // to clients
    std::map<Address, Ping> pings;                  // the last ping of each server
    std::vector<Event> events;
    View view;
    std::function<bool(const Address& from, const Address& to, const Message&)> lost;
    std::uint64_t next_id = 0;
    std::map<Address, JournalModel> journals;
    bool keep_up = true;
    std::map<Address, Duration> work_takes;  // with servers driven in slices: how long each unit of work takes
    Duration longest_turn{};                 // the longest turn with such work

    void start(const Address& name, std::uint64_t incarnation) {
        servers.insert_or_assign(name, Replica{ListStore{}, options, name, Incarnation{incarnation}, now});
        turn(name);
    }
    /// Starts a server that recovers from its journal; a new one at first.
    void start_with_journal(const Address& name, std::uint64_t incarnation, bool promised = true) {
        auto& journal = journals[name];
        journal.end_process();
        Recovery<ListStore> reader{ListStore{}, options.log_bytes};
        CHECK(journal.read(reader) == "");
        servers.insert_or_assign(name, Replica{std::move(reader).finish(), options, name, Incarnation{incarnation},
                                               now, promised});
        turn(name);
    }
    /// Makes everything that a server wrote stable; with `keep_up` that happens at once, in each turn.
    void persist(const Address& name) {
        servers.at(name).persisted(journals.at(name).sync());
        turn(name);
    }
    Replica& operator[](const Address& name) { return servers.at(name); }

    Member member(const Address& name, bool synced = false) {
        return {name, servers.at(name).status(now).incarnation, synced};
    }
    ViewInfo info() const { return {options.group, cluster, std::chrono::milliseconds{100}, view}; }

    /// Decides the next view and sends it to the servers in `emitted`.
    void decide(Member primary, std::vector<Member> backups, const std::vector<Address>& emitted) {
        view = View{view.number + 1, std::move(primary), std::move(backups), view.forced};
        for (const auto& name : emitted) give(name, views, {}, ViewChanged{info()});
    }
    void decide(Member primary, std::vector<Member> backups = {}) {
        std::vector<Address> all;
        for (const auto& [name, server] : servers) all.push_back(name);
        decide(std::move(primary), std::move(backups), all);
    }

    /// Delivers a message to a server and carries out the output of its turn.
    void give(const Address& to, const Address& from, CallId id, Message message) {
        turn(to, Envelope{from, std::move(id), std::move(message)});
    }
    /// Reports to a server that its connection with `peer` ended.
    void lose(const Address& name, const Address& peer) { turn(name, ConnectionEnded{peer}); }
    template <typename... Arrived>
    void turn(const Address& name, Arrived... arrived) {
        auto& server = servers.at(name);
        replica::Output effects;
        (arrive(server, std::move(arrived), now, effects), ...);
        work_takes.contains(name) ? work(server, work_takes[name], effects) : take_turn(server, now, effects);
        CHECK(not_counted_on(server, effects, now) == "");
        const bool wrote = effects.journal.has_value();
        const auto write = [&](const JournalBatch& batch) { journals.at(name).write(batch, server.state().log); };
        carry_out(effects, Overloaded{write, [&](Envelope& sent) { send(name, std::move(sent)); },
                                      [&](Event& event) { events.push_back(std::move(event)); }});
        if (wrote && keep_up) persist(name);
    }

    /// Delivers a message that was in flight, if its receiver runs.
    void deliver(const Address& from, Envelope envelope) {
        const auto to = std::exchange(envelope.peer, from);
        if (servers.contains(to)) turn(to, std::move(envelope));
    }
    void deliver_oldest() {
        REQUIRE_FALSE(wire.empty());
        auto [from, envelope] = std::move(wire.front());
        wire.pop_front();
        deliver(from, std::move(envelope));
    }
    /// Delivers messages until none is in flight.
    void settle() {
        for (int steps = 0; !wire.empty(); ++steps) {
            REQUIRE(steps < 100000);
            deliver_oldest();
        }
    }
    /// Lets time pass, wakes each server at its deadlines, and delivers all messages.
    void pass(Duration length) {
        auto end = now + length;
        settle();
        for (;;) {
            auto next = end;
            for (const auto& [name, server] : servers) next = std::min(next, server.deadline());
            now = std::max(now, next);
            for (auto& [name, server] : servers)
                if (server.deadline() <= now) turn(name);
            settle();
            if (now >= end) return;
        }
    }

    /// Sends a client's request; `answer(id)` returns the answer.
    CallId ask(const Address& to, Message message) {
        auto id = std::to_string(++next_id);
        give(to, client, id, std::move(message));
        return id;
    }
    CallId put(const Address& to, const std::string& command, SessionId session = {}, Sequence seq = 0,
               Sequence low = 0) {
        return ask(to, Execute{cluster, options.group, session, seq, low, command});
    }
    CallId query(const Address& to, const std::string& text = "all") {
        return ask(to, Query{cluster, options.group, text});
    }
    SessionId open(const Address& to) {
        auto id = ask(to, Open{cluster, options.group});
        settle();
        return std::get<OpenResult>(*answer(id)).session;
    }

    const Message* answer(const CallId& id) const {
        const Message* found = nullptr;
        for (const auto& envelope : answers)
            if (envelope.id == id) found = &envelope.message;
        return found;
    }
    /// The value of a call that succeeded, the name of its error, or "none" if it has no answer.
    std::string outcome(const CallId& id) const {
        auto* message = answer(id);
        if (!message) return "none";
        if (auto* result = std::get_if<ExecuteResult>(message)) return result->value;
        if (auto* result = std::get_if<QueryResult>(message)) return result->value;
        if (auto* failure = std::get_if<Failure>(message)) return std::string{to_string(failure->code)};
        return "other";
    }
    template <typename E>
    int count() const {
        int found = 0;
        for (const auto& event : events) found += std::holds_alternative<E>(event);
        return found;
    }

private:
    void work(Replica& server, Duration each, replica::Output& effects) {
        const auto begun = now;
        for (server.respond(now, effects); server.has_work(); now += each) server.work(now, effects);
        server.end_work(now, effects);
        server.deep_invariants();
        longest_turn = std::max(longest_turn, now - begun);
    }
    void send(const Address& from, Envelope envelope) {
        if (lost && lost(from, envelope.peer, envelope.message)) return;
        if (envelope.peer == views)
            pings[from] = std::get<Ping>(envelope.message);
        else if (envelope.peer.address().starts_with(client))
            answers.push_back(std::move(envelope));
        else
            wire.emplace_back(from, std::move(envelope));
    }
};

/// "a" leads without backups.
inline ReplicaGroup alone(ReplicaOptions options = {.view_service = {ReplicaGroup::views}}) {
    ReplicaGroup group;
    group.options = std::move(options);
    group.start("a", 1);
    group.decide(group.member("a"));
    return group;
}
/// "a" leads, and "b" is its backup in sync.
inline ReplicaGroup pair_in_sync(ReplicaOptions options = {.view_service = {ReplicaGroup::views}}) {
    ReplicaGroup group;
    group.options = std::move(options);
    group.start("a", 1);
    group.start("b", 2);
    group.decide(group.member("a"), {group.member("b", true)});
    group.settle();
    return group;
}

}  // namespace understudy::test
