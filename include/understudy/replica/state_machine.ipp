// The bodies of the replica's state machine: turns, messages, checks. All of them are defined outside of the class, so
// that their instance for an erased store can be compiled once (runtime/replica_machine.ipp).
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include <understudy/replica/state_machine.hpp>
#include <understudy/version.hpp>

namespace understudy::replica {

// ---- start ----

template <TextStore S>
ReplicaStateMachine<S>::ReplicaStateMachine(ReplicatedState<S> state, ReplicaOptions options, Address name,
                                            Incarnation incarnation, Time now)
    : options_{std::move(options)}, state_{std::move(state)}, pinger_{options_.view_service, now} {
    UNDERSTUDY_CHECK(options_.validate().empty());
    node_.name = std::move(name);
    node_.incarnation = incarnation;
    node_.info.group = options_.group;
    node_.info.ping_interval = ViewOptions{}.ping_interval;
    node_.dead_after = ViewOptions{}.dead_after();
    node_.ack_timeout = node_.dead_after / 2;
}

template <TextStore S>
ReplicaStateMachine<S>::ReplicaStateMachine(Recovered<S> from, ReplicaOptions options, Address name,
                                            Incarnation incarnation, Time now, bool promised)
    : ReplicaStateMachine{std::move(from.state), std::move(options), std::move(name), incarnation, now} {
    node_.info.cluster = from.hard_state.info.cluster;
    journaling_.begin(from, state_, node_, promised);
}

// ---- turns ----

template <TextStore S>
void ReplicaStateMachine<S>::receive(Envelope envelope, Time now, Output& out) {
    if (failed()) return;
    auto turn = at(now, out);
    const Caller caller{std::move(envelope.peer), std::move(envelope.id)};
    const auto handle = [&](auto& message) {
        if constexpr (requires { view_of(message); }) {
            const auto& view = view_of(message);
            on(caller, view, turn);
        } else {
            on(caller, std::move(message), turn);
        }
    };
    std::visit(handle, envelope.message);
}

template <TextStore S>
void ReplicaStateMachine<S>::receive(const Caller& caller, const MessageView& message, Time now, Output& out) {
    if (failed()) return;
    auto turn = at(now, out);
    std::visit([&](const auto& view) { on(caller, view, turn); }, message);
}

template <TextStore S>
void ReplicaStateMachine<S>::disconnected(const Address& peer, Time now, Output& out) {
    auto turn = at(now, out);
    primary_.disconnected(peer, turn);
    pinger_.disconnected(peer);
}

template <TextStore S>
void ReplicaStateMachine<S>::wake(Time now, Output& out) {
    respond(now, out);
    while (has_work()) work(now, out);
    end_work(now, out);
}

template <TextStore S>
void ReplicaStateMachine<S>::respond(Time now, Output& out) {
    if (failed()) return;
    work_.begin_turn(node_, journaling_.own_delay(state_, now), state_.log.base().index, now);
    auto turn = at(now, out);
    if (primary_.serving())
        primary_.respond(turn);
    else if (node_.role() == Role::backup)
        backup_.respond(work_.ahead(), turn);
    primary_.expire(now);
    backup_.expire(now);
    if (primary_.take_ping_now()) pinger_.make_due();
    if (pinger_.due(now) && journaling_.introduced()) ping(now, out);
    journaling_.end_turn(state_, options_, node_.incarnation, backup_.receives(), now, out);
    conclude(turn);
}

template <TextStore S>
void ReplicaStateMachine<S>::work(Time now, Output& out) {
    auto turn = at(now, out);
    work_.go_on(primary_, lease_, turn);
    if (failed()) end_with_failure(turn);
}

template <TextStore S>
void ReplicaStateMachine<S>::end_work(Time now, Output& out) {
    if (failed()) return;
    auto turn = at(now, out);
    work_.end_turn(turn);
    conclude(turn);
    if (role() == Role::backup) backup_.acknowledge(work_.ahead(), turn);
}

template <TextStore S>
void ReplicaStateMachine<S>::journal_failed(const std::string& why, Time now, Output& out) {
    if (failed()) return;
    reached("S9: a server whose stable storage fails is done");
    journaling_.fail(why);
    out.emit(JournalFailed{why});
    auto turn = at(now, out);
    primary_.step_down("stable storage failed", turn);
}

template <TextStore S>
void ReplicaStateMachine<S>::persisted(std::uint64_t batch) {
    journaling_.persisted(batch, state_);
}

template <TextStore S>
Time ReplicaStateMachine<S>::deadline() const {
    if (failed()) return never;
    if (work_.left_over()) return Time{};
    if (state_.durable.waits(state_.log) || (journaling_.due(options_) && !backup_.receives())) return Time{};
    auto next = std::min(primary_.deadline(node_, options_), backup_.deadline());
    if (journaling_.introduced()) next = std::min(next, pinger_.deadline());
    return primary_.relies_on_lease() ? std::min(next, lease_.until()) : next;
}

template <TextStore S>
ReplicaStatusResult ReplicaStateMachine<S>::status(Time) const {
    return {node_.info,         node_.name,          node_.incarnation, role(),
            state_.log.first(),     state_.log.last().index, state_.commit,         state_.applied.index,
            state_.sessions.size(), state_.log.bytes(),      primary_.backups().statuses()};
}

template <TextStore S>
void ReplicaStateMachine<S>::conclude(Turn<S>& turn) {
    primary_.serving() ? primary_.end_turn(turn) : state_.trim(options_.log_bytes, ~Index{0});
    work_.find_left_over(primary_, turn);
}

template <TextStore S>
void ReplicaStateMachine<S>::end_with_failure(Turn<S>& turn) {
    turn.out.emit(StoreFailed{state_.store_failure});
    primary_.step_down("the store failed", turn);
}

template <TextStore S>
void ReplicaStateMachine<S>::leave(Time, Output&) {
    leaving_ = true;
    stopped_ = stopped_ || node_.role() != Role::primary;
    pinger_.make_due();
}

template <TextStore S>
void ReplicaStateMachine<S>::stay(Time, Output&) {
    leaving_ = false;
    if (node_.role() != Role::primary) stopped_ = false;
    pinger_.make_due();
}

// ---- requests of clients ----

template <TextStore S>
template <typename Request>
void ReplicaStateMachine<S>::serve(const Caller& caller, Method method, const Request& request, Turn<S>& turn) {
    auto fault = check_group(request.group);
    if (!fault) fault = check_cluster(request.cluster);
    if (!fault) fault = check_serving();
    if (fault) return turn.refuse(caller, method, *std::move(fault));
    primary_.on(caller, request, turn);
}

template <TextStore S>
void ReplicaStateMachine<S>::on(const Caller& caller, Open&& request, Turn<S>& turn) {
    if (auto fault = check_version(request.protocol)) return turn.refuse(caller, Method::pb_open, *std::move(fault));
    serve(caller, Method::pb_open, request, turn);
}

template <TextStore S>
void ReplicaStateMachine<S>::on(const Caller& caller, Close&& request, Turn<S>& turn) {
    serve(caller, Method::pb_close, request, turn);
}

template <TextStore S>
void ReplicaStateMachine<S>::on(const Caller& caller, const ExecuteView& request, Turn<S>& turn) {
    serve(caller, Method::pb_execute, request, turn);
}

template <TextStore S>
void ReplicaStateMachine<S>::on(const Caller& caller, const QueryView& request, Turn<S>& turn) {
    serve(caller, Method::pb_query, request, turn);
}

template <TextStore S>
void ReplicaStateMachine<S>::on(const Caller& caller, Dump&& request, Turn<S>& turn) {
    serve(caller, Method::pb_dump, request, turn);
}

template <TextStore S>
void ReplicaStateMachine<S>::on(const Caller& caller, ReplicaStatus&& request, Turn<S>& turn) {
    auto fault = request.group ? check_group(*request.group) : std::nullopt;
    if (!fault && request.cluster) fault = check_cluster(*request.cluster);
    if (fault) return turn.refuse(caller, Method::pb_status, *std::move(fault));
    turn.out.send(caller.peer, caller.id, status(turn.now));
}

// ---- messages of the primary ----

template <TextStore S>
void ReplicaStateMachine<S>::on(const Caller& caller, const AppendView& append, Turn<S>& turn) {
    if (obeys(caller, Method::replica_append, append, turn))
        backup_.on(caller, append, turn);
}

template <TextStore S>
void ReplicaStateMachine<S>::on(const Caller& caller, Install&& install, Turn<S>& turn) {
    if (auto fault = check_version(install.protocol))
        return turn.refuse(caller, Method::replica_install, *std::move(fault));
    if (!obeys(caller, Method::replica_install, install, turn)) return;
    const auto before = state_.applied;
    backup_.on(caller, std::move(install), turn);
    if (backup_.receives() || state_.applied != before) journaling_.replaced(state_);
}

template <TextStore S>
template <typename Request>
bool ReplicaStateMachine<S>::obeys(const Caller& caller, Method method, const Request& request, Turn<S>& turn) {
    auto fault = check_group(request.group);
    if (!fault) fault = check_cluster(request.cluster);
    if (!fault && request.view.whole) adopt(caller.peer, *request.view.whole, turn);
    if (!fault) fault = check_view(request.view.number);
    if (fault) turn.refuse(caller, method, *std::move(fault));
    return !fault;
}

// ---- answers of backups ----

template <TextStore S>
void ReplicaStateMachine<S>::on(const Caller& caller, const AppendResult& result, Turn<S>& turn) {
    auto* link = admit_answer(caller, result.view, turn);
    if (!link) return;
    if (result.match > state_.log.last().index)
        return turn.emit_refused(caller, {error::bad_request, "acknowledges entries that were never sent"});
    link->acknowledged(caller.id, result, turn);
}

template <TextStore S>
void ReplicaStateMachine<S>::on(const Caller& caller, InstallResult&& result, Turn<S>& turn) {
    if (auto* link = admit_answer(caller, result.view, turn)) link->acknowledged_chunk(caller.id, result, turn);
}

template <TextStore S>
BackupLink<S>* ReplicaStateMachine<S>::admit_answer(const Caller& caller, ViewNumber view, Turn<S>& turn) {
    if (!primary_.serving() || view != turn.view().number) {
        reached("S4: an acknowledgement of another view does not count");
        return nullptr;
    }
    auto* link = primary_.backup(caller.peer);
    if (!link) turn.refuse_unasked(caller);
    return link;
}

template <TextStore S>
void ReplicaStateMachine<S>::backup_refused(const Caller& caller, const Failure& failure, Turn<S>& turn) {
    auto* link = primary_.serving() ? primary_.backup(caller.peer) : nullptr;
    if (!link) return;
    auto theirs = failure.view ? failure.view->view.number : 0;
    // A refusal counts only if it fits the view that the backup names: an old one must not move the link back.
    if (failure.code == error::stale_view && theirs < turn.view().number)
        link->lacks_view(caller.id, turn);
    else if (failure.code == error::mismatch && failure.held && theirs == turn.view().number)
        link->refused_append(caller.id, *failure.held, turn);
    else if (failure.code == error::bad_chunk && failure.install && theirs == turn.view().number)
        link->refused_chunk(caller.id, *failure.install, turn);
    else if (failure.code != error::stale_view)
        turn.emit_refused(caller, {failure.code, "a backup refused: " + failure.text});
}

// ---- the view service ----

template <TextStore S>
void ReplicaStateMachine<S>::on(const Caller& caller, PingResult&& result, Turn<S>& turn) {
    if (!pinger_.knows(caller.peer)) return turn.refuse_unasked(caller);
    pinger_.answered(caller.peer, turn.out);
    if (result.lease > Duration{}) node_.dead_after = workable(result.lease);
    adopt(caller.peer, result.info, turn);
    // View 0 is not adopted, but its ping interval counts: the group has no other one yet.
    if (result.info.view.number == 0) node_.info.ping_interval = workable(result.info.ping_interval);
    // An answer counts only if the ping said it: `leave` may have been called since.
    leaving_answered_ = leaving_ && leaving_sent_;
    if (options_.reads == Reads::lease && primary_.serving())
        lease_.answered(call_number(caller.id), result, node_.info, node_.dead_after, options_.lease_margin);
    if (!result.stop || result.info.view.number != turn.view().number || !primary_.serving()) return;
    reached("R6: a primary that the view service asks to stop stops");
    stopped_ = true;
    lease_.end();
    primary_.step_down("told to stop", turn);
    pinger_.make_due();
}

template <TextStore S>
void ReplicaStateMachine<S>::on(const Caller& caller, ViewChanged&& push, Turn<S>& turn) {
    if (!pinger_.knows(caller.peer)) return turn.refuse_unasked(caller);
    adopt(caller.peer, push.info, turn);
}

template <TextStore S>
void ReplicaStateMachine<S>::on(const Caller& caller, Failure&& failure, Turn<S>& turn) {
    if (failure.to == to_string(Method::view_ping)) return ping_refused(caller, failure, turn);
    if (failure.view) adopt(caller.peer, *failure.view, turn);  // S6: a refusal teaches the newer view
    backup_refused(caller, failure, turn);
}

template <TextStore S>
void ReplicaStateMachine<S>::ping_refused(const Caller& caller, const Failure& failure, Turn<S>& turn) {
    if (!pinger_.knows(caller.peer)) return turn.refuse_unasked(caller);
    if (failure.view) {
        reached("S6: a refused ping teaches the newer view");
        adopt(caller.peer, *failure.view, turn);  // a replaced incarnation is sent no other view
    }
    // The same refusal is emitted once, not with every ping.
    if (pinger_.refused(caller.peer, failure.code))
        turn.emit_refused(caller, {failure.code, "the view service refused the ping: " + failure.text});
}

template <TextStore S>
template <typename Other>
void ReplicaStateMachine<S>::on(const Caller& caller, Other&&, Turn<S>& turn) {
    constexpr auto text = "this is a replica; the method belongs to a view service";
    // A client may ask a replica for the view while the view service is down: the refusal carries it. No event.
    if constexpr (std::is_same_v<Other, ViewGet> || std::is_same_v<Other, ViewWatch>)
        turn.answer(caller, Method::none, {error::unknown_method, text});
    else if constexpr (std::is_same_v<Other, ViewStatus> || std::is_same_v<Other, ViewPromote> ||
                       std::is_same_v<Other, ViewForce> || std::is_same_v<Other, ViewAdopt> ||
                       std::is_same_v<Other, ViewRemove> ||
                       std::is_same_v<Other, Ping>)
        turn.refuse(caller, Method::none, {error::unknown_method, text});
    else
        turn.refuse_unasked(caller);
}

// ---- checks ----

template <TextStore S>
std::optional<Fault> ReplicaStateMachine<S>::check_version(int theirs) {
    if (theirs == protocol_version) return std::nullopt;
    return Fault{error::unsupported_version, "this server speaks version " + std::to_string(protocol_version) +
                                                 ", not " + std::to_string(theirs)};
}

template <TextStore S>
std::optional<Fault> ReplicaStateMachine<S>::check_group(std::string_view theirs) const {
    if (theirs == options_.group) return std::nullopt;
    return Fault{error::wrong_group, "this server belongs to group " + options_.group + ", not " + std::string{theirs}};
}

template <TextStore S>
std::optional<Fault> ReplicaStateMachine<S>::check_cluster(ClusterId theirs) const {
    if (!node_.knows_cluster() || theirs == node_.info.cluster) return std::nullopt;
    return Fault{error::wrong_cluster,
                 "this is cluster " + to_hex(node_.info.cluster) + ", not " + to_hex(theirs)};
}

template <TextStore S>
std::optional<Fault> ReplicaStateMachine<S>::check_serving() const {
    if (primary_.serving()) return std::nullopt;
    return Fault{error::not_primary,
                 stopped_ ? "stopped in this view" : "this server is " + std::string{to_string(role())}};
}

template <TextStore S>
std::optional<Fault> ReplicaStateMachine<S>::check_view(ViewNumber view) const {
    const auto mine = node_.info.view.number;
    if (view != mine) {
        reached(view < mine ? "S1: a message of an older view is refused"
                            : "S1: a message of a newer view waits until that is known");
        return Fault{error::stale_view, "this server is in view " + std::to_string(mine) +
                                            ", the message is of view " + std::to_string(view)};
    }
    if (role() == Role::backup) return std::nullopt;
    reached("S1: a server that is no backup of the view takes no appends");
    return Fault{error::bad_request,
                 "this server is " + std::string{to_string(role())} + " in view " + std::to_string(mine)};
}

}  // namespace understudy::replica
