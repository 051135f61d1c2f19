// The context of one step of a replica: its state, its options, the time and the output. The parts of a replica get it
// as an argument, so that they hold no references to each other and can be copied and compared.
#pragma once

#include <algorithm>
#include <string>
#include <utility>

#include <understudy/options.hpp>
#include <understudy/protocol/coverage.hpp>
#include <understudy/replica/calls.hpp>
#include <understudy/replica/output.hpp>
#include <understudy/replica/replicated_state.hpp>
#include <understudy/version.hpp>

namespace understudy::replica {

/// Limits a ping interval, or D, to 1 ms to 365 days. A shorter one would make the event loop spin, a longer one would
/// overflow the clock. The value comes from another process, so it may be anything.
constexpr Duration workable(Duration length) { return std::clamp<Duration>(length, 1ms, 365 * 24h); }

/// The hard state of this server: its name and incarnation, and what the view service has announced.
struct NodeState {
    Address name;
    Incarnation incarnation = Incarnation::none;
    ViewInfo info;          ///< The newest view that was adopted.
    Duration dead_after{};   ///< D, from the view service's last answer.
    /// How long a backup may acknowledge nothing (S7): D/2, more if this server is slow itself.
    Duration ack_timeout{};

    bool knows_cluster() const { return info.cluster != ClusterId::none; }
    /// The role in the view. `idle` if the view names another incarnation of this server (S1).
    Role role() const {
        const auto* me = info.view.member(name);
        if (!me || me->incarnation != incarnation) return Role::idle;
        return me == &info.view.primary ? Role::primary : Role::backup;
    }
    friend bool operator==(const NodeState&, const NodeState&) = default;
};

/// The context of one step. It is made for each call of the state machine and not stored.
template <TextStore S>
struct Step {
    ReplicatedState<S>& state;
    const NodeState& node;
    const ReplicaOptions& options;
    Time now;
    Output& out;
    bool leased = false;  ///< Whether a read lease is valid at `now`.

    const View& view() const { return node.info.view; }

    /// Answers with an error that carries this server's view, and emits a `Refused` event.
    void refuse(const Call& call, std::string method, error code, std::string text) const {
        out.emit(Refused{call.peer, code, text});
        answer_error(call, std::move(method), code, std::move(text));
    }
    void refuse_group(const Call& call, const char* method, const std::string& group) const {
        refuse(call, method, error::wrong_group, "this server belongs to group " + options.group + ", not " + group);
    }
    void refuse_version(const Call& call, const char* method, int theirs) const {
        refuse(call, method, error::unsupported_version,
               "this server speaks version " + std::to_string(protocol_version) + ", not " + std::to_string(theirs));
    }
    void refuse_cluster(const Call& call, const char* method, ClusterId theirs) const {
        refuse(call, method, error::wrong_cluster,
               "this is cluster " + to_hex(node.info.cluster) + ", not " + to_hex(theirs));
    }
    /// Emits an event for an answer that belongs to no request. It is not answered.
    void refuse_unasked(const Call& call) const {
        out.emit(Refused{call.peer, error::invalid_request, "an answer that nobody asked for"});
    }
    /// As `refuse`, without the event: for errors that are part of normal operation.
    void answer_error(const Call& call, std::string method, error code, std::string text) const {
        reached(code);
        Failure failure{std::move(method), code, std::move(text), {}, {}, {}};
        if (view().number != 0) failure.view = node.info;
        out.send(call.peer, call.id, std::move(failure));
    }
};

}  // namespace understudy::replica
