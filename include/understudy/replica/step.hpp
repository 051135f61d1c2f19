// What a step of a replica works on; the parts of a replica hold no references to each other.
#pragma once

#include <algorithm>
#include <string>
#include <utility>

#include <understudy/options.hpp>
#include <understudy/protocol/coverage.hpp>
#include <understudy/replica/calls.hpp>
#include <understudy/replica/replicated_state.hpp>
#include <understudy/version.hpp>

namespace understudy::replica {

/// A ping interval, or D, as it can be worked with: with less the loop would spin, with more the clock would overflow.
constexpr Duration workable(Duration length) { return std::clamp<Duration>(length, 1ms, 365 * 24h); }

/// Who this server is and what it knows of the world.
struct Standing {
    Address name;
    Incarnation incarnation = Incarnation::none;
    ViewInfo info;          ///< The newest view adopted.
    Duration dead_after{};   ///< D, as the view service last said.
    Duration ack_timeout{};  ///< How long a backup may confirm nothing (S7): D/2, more where this server is slow too.

    bool knows_cluster() const { return info.cluster != ClusterId::none; }
    Role role() const {
        const auto* me = info.view.member(name);
        if (!me || me->incarnation != incarnation) return Role::idle;
        return me == &info.view.primary ? Role::primary : Role::backup;
    }
    friend bool operator==(const Standing&, const Standing&) = default;
};

template <TextStore S>
struct Step {
    ReplicatedState<S>& state;
    const Standing& standing;
    const ReplicaOptions& options;
    Time now;
    Effects& out;
    bool leased = false;  ///< Whether a lease holds at `now`.

    const View& view() const { return standing.info.view; }

    /// Answers with an error that carries this server's view, and tells of it.
    void refuse(const Call& call, std::string method, error code, std::string text) const {
        out.tell(Refused{call.peer, code, text});
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
               "this is cluster " + to_hex(standing.info.cluster) + ", not " + to_hex(theirs));
    }
    void refuse_unasked(const Call& call) const {
        out.tell(Refused{call.peer, error::invalid_request, "an answer that nobody asked for"});
    }
    /// As `refuse`, but an everyday answer that is not worth an event.
    void answer_error(const Call& call, std::string method, error code, std::string text) const {
        reached(code);
        Failure failure{std::move(method), code, std::move(text), {}, {}, {}};
        if (view().number != 0) failure.view = standing.info;
        out.send(call.peer, call.id, std::move(failure));
    }
};

}  // namespace understudy::replica
