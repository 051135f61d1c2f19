// The state machine of a replica (S1 to S11): which view it is in, what it may do there, and what it reports to the
// view service. It checks incoming messages and passes them on; the work of each role is in primary.hpp and backup.hpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include <understudy/base/check.hpp>
#include <understudy/replica/backup.hpp>
#include <understudy/replica/journaling.hpp>
#include <understudy/replica/lease.hpp>
#include <understudy/replica/output.hpp>
#include <understudy/replica/pinger.hpp>
#include <understudy/replica/primary.hpp>
#include <understudy/replica/store_work.hpp>

namespace understudy::replica {

/// A replica as a value: it gets messages and the time, and produces output. It reads no clock and does no I/O, so that
/// a simulation runs the same code as a server. `S` is the store in its text form. Not safe for use from several
/// threads.
template <TextStore S>
class ReplicaStateMachine {
public:
    using Output = replica::Output;

    /// `name` is the address at which others reach this server. `incarnation` must be drawn anew for each start (S9).
    ReplicaStateMachine(S store, ReplicaOptions options, Address name, Incarnation incarnation, Time now)
        : ReplicaStateMachine{ReplicatedState<S>{std::move(store)}, std::move(options), std::move(name), incarnation,
                              now} {}

    /// Continues from a journal (S9). `promised`: the journal calls a batch `persisted` only when it is on stable
    /// storage. Only then may the next incarnation claim that it continues this one.
    ReplicaStateMachine(Recovered<S> from, ReplicaOptions options, Address name, Incarnation incarnation, Time now,
                 bool promised)
        : ReplicaStateMachine{std::move(from.state), std::move(options), std::move(name), incarnation, now} {
        node_.info.cluster = from.hard_state.info.cluster;
        journaling_.begin(from, state_, node_, promised);
    }

    /// Handles one message. Ignored after a failure.
    void receive(Envelope envelope, Time now, Output& out);

    /// The connection to `peer` ended, or could not be made.
    void disconnected(const Address& peer, Time now, Output& out);
    void probed(const Address&, ProbeResult, Time, Output&) {}
    /// The send queue of `peer`'s connection became full, or has room again (C6).
    void backlog(const Address& peer, bool full) { primary_.backlog(peer, full); }

    /// Ends a turn: `respond`, all `work`, `end_work`, at one point in time.
    void wake(Time now, Output& out);

    /// The same in steps, so that the driver can measure the time between them and send what is due in between (S7).
    void respond(Time now, Output& out);
    bool has_work() const { return !failed() && work_.next(state_, primary_, lease_) != Work::none; }
    void work(Time now, Output& out);
    void end_work(Time now, Output& out);
    /// Whether the store is slow, so that the output should be sent before `work`.
    bool works_slowly() const { return work_.slow(); }

    /// S9: that batch and all earlier ones are on stable storage; or were handed over, if the journal does not promise
    /// that.
    void persisted(std::uint64_t batch);
    /// S9: stable storage failed. The latest batches may be lost and nothing more can be written, so this server stops
    /// for good.
    void journal_failed(const std::string& why, Time now, Output& out);

    /// When `wake` is due if nothing arrives; `never` after a failure.
    Time deadline() const;

    /// Invariants that are cheap enough to check after each step. A violation calls the check handler.
    void invariants() const {
        UNDERSTUDY_CHECK(state_.applied.index <= state_.commit);
        UNDERSTUDY_CHECK(state_.commit <= state_.log.last().index);
        UNDERSTUDY_CHECK(state_.log.base().index <= state_.applied.index);
        UNDERSTUDY_CHECK(!primary_.serving() || node_.role() == Role::primary);
    }
    /// The same and those of the whole log: O(entries).
    void deep_invariants() const {
        invariants();
        for (auto index = state_.log.first() + 1; index <= state_.log.last().index; ++index)
            UNDERSTUDY_CHECK(state_.log[index].at.view >= state_.log[index - 1].at.view);
    }

    // ---- requests of the host ----

    /// Hands over and leaves the group (R6). A primary without a backup in sync goes on serving until there is one.
    void leave(Time, Output&) {
        leaving_ = true;
        stopped_ = stopped_ || node_.role() != Role::primary;
        pinger_.now_please();
    }
    /// Cancels `leave`.
    void stay(Time, Output&) {
        leaving_ = false;
        if (node_.role() != Role::primary) stopped_ = false;
        pinger_.now_please();
    }
    /// Whether it has left: the view that it knows does not name it, and the view service has answered a ping that said
    /// `leaving`.
    bool left() const { return leaving_ && heard_leaving_ && node_.role() == Role::idle; }

    // ---- state ----

    /// Whether the store or stable storage failed. The server then does nothing more.
    bool failed() const { return !state_.store_failure.empty() || !journaling_.failure().empty(); }
    /// Why stable storage failed; empty if it did not.
    const std::string& journal_failure() const { return journaling_.failure(); }
    Role role() const { return node_.role(); }
    const ViewInfo& view() const { return node_.info; }
    /// Whether it is primary and was not told to stop.
    bool serving() const { return primary_.serving(); }
    /// Whether it is primary and all members of its view have announced the feature.
    bool all_announce(std::string_view feature) const { return primary_.all_announce(feature); }
    const S& store() const { return state_.store; }
    const ReplicatedState<S>& state() const { return state_; }

    /// The answer to `pb.status`.
    ReplicaStatusResult status(Time) const;

    friend bool operator==(const ReplicaStateMachine&, const ReplicaStateMachine&) = default;

private:
    using ThisStep = Step<S>;

    ReplicaStateMachine(ReplicatedState<S> state, ReplicaOptions options, Address name, Incarnation incarnation,
                        Time now)
        : options_{std::move(options)}, state_{std::move(state)}, pinger_{options_.view_service, now} {
        UNDERSTUDY_CHECK(options_.validate().empty());
        node_.name = std::move(name);
        node_.incarnation = incarnation;
        node_.info.group = options_.group;
        node_.info.ping_interval = ViewOptions{}.ping_interval;
        node_.dead_after = ViewOptions{}.dead_after();
        node_.ack_timeout = node_.dead_after / 2;
    }

    /// Called at the end of `respond`, and again after the work: sends answers, trims the log, and notes whether work
    /// is left over.
    void conclude(ThisStep& step) {
        primary_.serving() ? primary_.end_turn(step) : state_.trim(options_.log_bytes, ~Index{0});
        work_.look(step, primary_);
    }

    ThisStep at(Time now, Output& out) { return {state_, node_, options_, now, out, lease_.holds(now)}; }

    // ---- requests of clients ----

    void handle(ThisStep& step, Call&& call, Open&& request) {
        if (request.protocol != protocol_version) return step.refuse_version(call, "pb.open", request.protocol);
        if (admit_client(step, call, "pb.open", request)) primary_.open(step, std::move(call));
    }
    void handle(ThisStep& step, Call&& call, Close&& request) {
        if (admit_client(step, call, "pb.close", request)) primary_.close(step, std::move(call), request.session);
    }
    void handle(ThisStep& step, Call&& call, Execute&& request) {
        if (admit_client(step, call, "pb.execute", request))
            primary_.execute(step, std::move(call), std::move(request));
    }
    void handle(ThisStep& step, Call&& call, Query&& request) {
        if (admit_client(step, call, "pb.query", request))
            primary_.read(step, std::move(call), "pb.query", std::move(request.query));
    }
    void handle(ThisStep& step, Call&& call, Dump&& request) {
        if (admit_client(step, call, "pb.dump", request)) primary_.dump(step, std::move(call), request);
    }
    void handle(ThisStep& step, Call&& call, ReplicaStatus&& request) {
        if (request.group && *request.group != options_.group)
            return step.refuse_group(call, "pb.status", *request.group);
        if (auto& cluster = request.cluster; cluster && foreign(*cluster))
            return step.refuse_cluster(call, "pb.status", *cluster);
        step.out.send(std::move(call.peer), std::move(call.id), status(step.now));
    }

    template <typename Request>
    bool admit_client(ThisStep& step, const Call& call, const char* method, const Request& request) {
        if (!admit_group(step, call, method, request)) return false;
        if (primary_.serving()) return true;
        step.answer_error(call, method, error::not_primary,
                          stopped_ ? "stopped in this view" : "this server is " + std::string{to_string(role())});
        return false;
    }

    template <typename Request>
    bool admit_group(ThisStep& step, const Call& call, const char* method, const Request& request) {
        if (request.group != options_.group) {
            step.refuse_group(call, method, request.group);
            return false;
        }
        if (!foreign(request.cluster)) return true;
        step.refuse_cluster(call, method, request.cluster);
        return false;
    }
    bool foreign(ClusterId cluster) const { return node_.knows_cluster() && cluster != node_.info.cluster; }

    // ---- messages of the primary ----

    void handle(ThisStep& step, Call&& call, Append&& append) {
        if (admit_primary(step, call, "replica.append", append)) backup_.append(step, call, std::move(append));
    }
    void handle(ThisStep& step, Call&& call, Install&& install) {
        if (install.protocol != protocol_version)
            return step.refuse_version(call, "replica.install", install.protocol);
        if (!admit_primary(step, call, "replica.install", install)) return;
        const auto before = state_.applied;
        backup_.install(step, call, install);
        if (backup_.receives() || state_.applied != before) journaling_.replaced(state_);
    }

    /// S1: adopts a newer view and refuses an older one. A message is obeyed only if it is of the current view and this
    /// server is a backup in it. Otherwise a replaced primary could still change logs.
    template <typename Request>
    bool admit_primary(ThisStep& step, const Call& call, const char* method, const Request& request) {
        if (!admit_group(step, call, method, request)) return false;
        if (request.view.whole) adopt(step, call.peer, *request.view.whole);
        auto mine = step.view().number;
        if (request.view.number != mine) {
            reached(request.view.number < mine ? "S1: a message of an older view is refused"
                                               : "S1: a message of a newer view waits until that is known");
            step.answer_error(call, method, error::stale_view,
                              "this server is in view " + std::to_string(mine) + ", the message is of view " +
                                  std::to_string(request.view.number));
            return false;
        }
        if (role() == Role::backup) return true;
        reached("S1: a server that is no backup of the view takes no appends");
        step.refuse(call, method, error::bad_request,
                    "this server is " + std::string{to_string(role())} + " in view " + std::to_string(mine));
        return false;
    }

    // ---- answers of backups ----

    void handle(ThisStep& step, Call&& call, AppendResult&& result) {
        auto* link = admit_answer(step, call, result.view);
        if (!link) return;
        if (result.match > state_.log.last().index)
            return step.out.emit(Refused{call.peer, error::bad_request, "acknowledges entries that were never sent"});
        link->answered(call.id, result, step);
    }
    void handle(ThisStep& step, Call&& call, InstallResult&& result) {
        if (auto* link = admit_answer(step, call, result.view)) link->answered_chunk(call.id, result, step);
    }

    /// The link of a backup that answered in this view, or null (S4: an answer counts only in the view that it names).
    /// An answer of an older view says nothing about the log as it is now.
    BackupLink<S>* admit_answer(ThisStep& step, const Call& call, ViewNumber view) {
        if (!primary_.serving() || view != step.view().number) {
            reached("S4: an acknowledgement of another view does not count");
            return nullptr;
        }
        auto* link = primary_.find(call.peer);
        if (!link) step.refuse_unasked(call);
        return link;
    }

    // ---- the view service ----

    void handle(ThisStep& step, Call&& call, PingResult&& result) {
        if (!pinger_.knows(call.peer)) return step.refuse_unasked(call);
        pinger_.answered(call.peer, step.out);
        if (result.lease > Duration{}) node_.dead_after = workable(result.lease);
        adopt(step, call.peer, result.info);
        // View 0 is not adopted, but its ping interval counts: the group has no other one yet.
        if (result.info.view.number == 0) node_.info.ping_interval = workable(result.info.ping_interval);
        // An answer counts only if the ping said it: `leave` may have been called since.
        heard_leaving_ = leaving_ && sent_leaving_;
        if (options_.reads == Reads::lease && primary_.serving())
            lease_.answered(call_number(call.id), result, node_.info, node_.dead_after, options_.lease_margin);
        if (!result.stop || result.info.view.number != step.view().number || !primary_.serving()) return;
        reached("R6: a primary that the view service asks to stop stops");
        stopped_ = true;
        lease_.end();
        primary_.step_down(step, "told to stop");
        pinger_.now_please();
    }
    void handle(ThisStep& step, Call&& call, ViewChanged&& push) {
        if (!pinger_.knows(call.peer)) return step.refuse_unasked(call);
        adopt(step, call.peer, push.info);
    }

    void handle(ThisStep& step, Call&& call, Failure&& failure) {
        if (failure.to == "view.ping") return ping_refused(step, call, failure);
        if (failure.view) adopt(step, call.peer, *failure.view);  // S6: a refusal teaches the newer view
        auto* link = primary_.serving() ? primary_.find(call.peer) : nullptr;
        if (!link) return;
        auto theirs = failure.view ? failure.view->view.number : 0;
        // A refusal counts only if it fits the view that the backup names: an old one must not move the link back.
        if (failure.code == error::stale_view && theirs < step.view().number)
            link->lacks_view(call.id, step);
        else if (failure.code == error::mismatch && failure.held && theirs == step.view().number)
            link->refused_append(call.id, *failure.held, step);
        else if (failure.code == error::bad_chunk && failure.install && theirs == step.view().number)
            link->refused_chunk(call.id, *failure.install, step);
        else if (failure.code != error::stale_view)
            step.out.emit(Refused{call.peer, failure.code, "a backup refused: " + failure.text});
    }

    void ping_refused(ThisStep& step, const Call& call, const Failure& failure) {
        if (!pinger_.knows(call.peer)) return step.refuse_unasked(call);
        if (failure.view) {
            reached("S6: a refused ping teaches the newer view");
            adopt(step, call.peer, *failure.view);  // a replaced incarnation is sent no other view
        }
        // The same refusal is emitted once, not with every ping.
        if (pinger_.refused(call.peer, failure.code))
            step.out.emit(Refused{call.peer, failure.code, "the view service refused the ping: " + failure.text});
    }

    /// All other messages are not for a replica. A request is answered with `unknown_method`; an answer that belongs to
    /// no request emits an event. A client may ask a replica for the view while the view service is down: the refusal
    /// carries it.
    template <typename Other>
    void handle(ThisStep& step, Call&& call, Other&&) {
        constexpr auto text = "this is a replica; the method belongs to a view service";
        if constexpr (std::is_same_v<Other, ViewGet> || std::is_same_v<Other, ViewWatch>)
            step.answer_error(call, {}, error::unknown_method, text);
        else if constexpr (std::is_same_v<Other, ViewStatus> || std::is_same_v<Other, ViewPromote> ||
                           std::is_same_v<Other, ViewForce> || std::is_same_v<Other, ViewAdopt> ||
                           std::is_same_v<Other, ViewRemove> ||
                           std::is_same_v<Other, Ping>)
            step.refuse(call, {}, error::unknown_method, text);
        else
            step.refuse_unasked(call);
    }

    // ---- views ----

    /// S1: takes over a view if it is newer, and enters the role that it gives to this server. A view of another
    /// cluster or group is refused. A view older than one that an earlier incarnation adopted is not adopted (S9).
    void adopt(ThisStep& step, const Address& from, const ViewInfo& info) {
        if (info.group != options_.group || (node_.knows_cluster() && info.cluster != node_.info.cluster)) {
            if (info.view.number != 0)
                step.out.emit(Refused{from, error::wrong_cluster, "a view of another cluster or group"});
            return;
        }
        if (!is_newer(info.view, step.view()) || info.view.number < journaling_.former_view()) {
            if (info.view.number < std::max(step.view().number, journaling_.former_view()))
                reached("S1: an older view is not adopted");
            if (info.view.number == step.view().number && info.view.number != 0)
                node_.info.ping_interval = workable(info.ping_interval);
            return;
        }
        auto seen = step.view().number;
        auto before = role();
        reached("S1: a newer view is adopted");
        node_.info = info;
        node_.info.ping_interval = workable(info.ping_interval);
        journaling_.adopted(state_, node_);
        if (info.view.number == seen) return;  // only more backups in sync
        if (auto forced = info.view.forced; forced > std::max(seen, journaling_.former_view())) {
            // S3: after `view.force` others may have dropped entries that this server has. It drops all of them, unless
            // the view relies on its state.
            reached("S3: after a forced view a server drops what it has");
            if (primary_.serving()) primary_.step_down(step, "view " + std::to_string(forced) + " was forced");
            if (!journaling_.is_relied_on(node_)) drop_everything(step);
        }
        enter_view(step, before, seen == 0);
        pinger_.now_please();
    }

    /// Starts the role of a new view. `news`: emits the role even if it is the same as before.
    void enter_view(ThisStep& step, Role before, bool news) {
        stopped_ = leaving_ && role() != Role::primary;
        lease_.end();
        backup_.enter_view();
        if (role() == Role::primary)
            primary_.serving() ? primary_.go_on(step) : primary_.take_over(step);  // S6, S5
        else if (primary_.serving())
            primary_.step_down(step, "view " + std::to_string(step.view().number) + " has another primary");  // S6
        if (role() != before || news) step.out.emit(RoleChanged{options_.group, role(), step.view().number});
    }

    /// S3: after `view.force` the log of this server may conflict with that of the forced primary. Drops all state.
    void drop_everything(ThisStep& step) {
        if (state_.log.last().index != 0) step.out.emit(LogTruncated{1, state_.log.last().index, state_.commit > 0});
        state_.clear();
        backup_.forget();
        journaling_.replaced(state_);
    }

    /// Sends a ping with everything that the view service decides by (section 2).
    void ping(Time now, Output& out) {
        Ping ping;
        ping.group = options_.group;
        ping.server = node_.name;
        ping.incarnation = node_.incarnation;
        ping.viewnum = node_.info.view.number;  // 0 after a start
        ping.features = own_features();
        journaling_.describe(ping);
        if (!ping.recovered.empty()) reached("S9: a server says whose state it continues");
        else if (ping.viewnum == 0) reached("S9: a server starts empty and says so");
        if (node_.knows_cluster()) ping.cluster = node_.info.cluster;
        if (role() == Role::primary && primary_.serving()) {
            ping.synced = primary_.required();
            ping.unreachable = primary_.unreachable();
        }
        ping.stopped = stopped_;
        ping.leaving = sent_leaving_ = leaving_;
        ping.lease = options_.reads == Reads::lease;
        // A view service of another cluster, or one whose record is behind (R7), needs the newest view for
        // `view.adopt`.
        if (pinger_.is_foreign()) {
            const auto& newest = ping.viewnum != 0 ? node_.info : journaling_.former();
            if (newest.view.number != 0) ping.known = newest;
        }
        auto n = pinger_.send(std::move(ping), now, node_.info.ping_interval, node_.dead_after, out);
        if (options_.reads == Reads::lease) lease_.sent(n, now);
    }

    /// The store failed: requests in progress end, and this server handles no more messages.
    void end_with_failure(ThisStep& step) {
        step.out.emit(StoreFailed{state_.store_failure});
        primary_.step_down(step, "the store failed");
    }

    ReplicaOptions options_;
    NodeState node_;
    ReplicatedState<S> state_;
    Primary<S> primary_;
    Backup<S> backup_;
    Pinger pinger_;
    Lease lease_;
    Journaling<S> journaling_;
    StoreWork<S> work_;
    bool leaving_ = false;
    bool sent_leaving_ = false;
    bool heard_leaving_ = false;
    bool stopped_ = false;  // serves no more in this view
};

// The functions that a driver calls are defined outside of the class, so that their instance for an erased store can be
// compiled once (runtime/replica_machine.ipp).

template <TextStore S>
void ReplicaStateMachine<S>::receive(Envelope envelope, Time now, Output& out) {
    if (failed()) return;
    auto step = at(now, out);
    Call call{std::move(envelope.peer), std::move(envelope.id)};
    std::visit([&](auto& message) { handle(step, std::move(call), std::move(message)); }, envelope.message);
}

template <TextStore S>
void ReplicaStateMachine<S>::disconnected(const Address& peer, Time now, Output& out) {
    auto step = at(now, out);
    primary_.disconnected(step, peer);
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
    auto step = at(now, out);
    if (primary_.serving())
        primary_.respond(step);
    else if (node_.role() == Role::backup)
        backup_.respond(step, work_.ahead());
    primary_.expire(now);
    backup_.expire(now);
    if (primary_.take_ping_now()) pinger_.now_please();
    if (pinger_.due(now) && journaling_.introduced()) ping(now, out);
    journaling_.end_turn(state_, options_, node_.incarnation, backup_.receives(), now, out);
    conclude(step);
}

template <TextStore S>
void ReplicaStateMachine<S>::work(Time now, Output& out) {
    auto step = at(now, out);
    work_.go_on(step, primary_, lease_);
    if (failed()) end_with_failure(step);
}

template <TextStore S>
void ReplicaStateMachine<S>::end_work(Time now, Output& out) {
    if (failed()) return;
    auto step = at(now, out);
    work_.end_turn(step);
    conclude(step);
    if (role() == Role::backup) backup_.acknowledge(step, work_.ahead());
}

template <TextStore S>
void ReplicaStateMachine<S>::journal_failed(const std::string& why, Time now, Output& out) {
    if (failed()) return;
    reached("S9: a server whose stable storage fails is done");
    journaling_.fail(why);
    out.emit(JournalFailed{why});
    auto step = at(now, out);
    primary_.step_down(step, "stable storage failed");
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
    auto next = std::min(primary_.deadline(node_), backup_.deadline());
    if (journaling_.introduced()) next = std::min(next, pinger_.deadline());
    return primary_.relies_on_lease() ? std::min(next, lease_.until()) : next;
}

template <TextStore S>
ReplicaStatusResult ReplicaStateMachine<S>::status(Time) const {
    return {node_.info,         node_.name,          node_.incarnation, role(),
            state_.log.first(),     state_.log.last().index, state_.commit,         state_.applied.index,
            state_.sessions.size(), state_.log.bytes(),      primary_.backups()};
}

}  // namespace understudy::replica
