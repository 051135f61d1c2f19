// The state machine of a replica (S1 to S11): which view it is in, what it may do there, and what it reports to the
// view service. It checks incoming messages and passes them on; the work of each role is in primary.hpp and backup.hpp.
// The bodies are in state_machine.ipp and state_machine_views.ipp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <understudy/base/check.hpp>
#include <understudy/protocol/message_view.hpp>
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
                        bool promised);

    /// Handles one message. Ignored after a failure.
    void receive(Envelope envelope, Time now, Output& out);
    /// The same for a message whose texts belong to the caller.
    void receive(const Caller& caller, const MessageView& message, Time now, Output& out);

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
    void leave(Time, Output&);
    /// Cancels `leave`.
    void stay(Time, Output&);
    /// Whether it has left: the view that it knows does not name it, and the view service has answered a ping that said
    /// `leaving`.
    bool left() const { return leaving_ && leaving_answered_ && node_.role() == Role::idle; }

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
    ReplicaStateMachine(ReplicatedState<S> state, ReplicaOptions options, Address name, Incarnation incarnation,
                        Time now);

    Turn<S> at(Time now, Output& out) { return {state_, node_, options_, now, out, lease_.holds(now)}; }
    /// Called at the end of `respond`, and again after the work: sends answers, trims the log, and notes whether work
    /// is left over.
    void conclude(Turn<S>& turn);
    /// The store failed: requests in progress end, and this server handles no more messages.
    void end_with_failure(Turn<S>& turn);

    // ---- messages ----

    void on(const Caller& caller, Open&& request, Turn<S>& turn);
    void on(const Caller& caller, Close&& request, Turn<S>& turn);
    void on(const Caller& caller, const ExecuteView& request, Turn<S>& turn);
    void on(const Caller& caller, const QueryView& request, Turn<S>& turn);
    void on(const Caller& caller, Dump&& request, Turn<S>& turn);
    void on(const Caller& caller, ReplicaStatus&& request, Turn<S>& turn);
    void on(const Caller& caller, const AppendView& append, Turn<S>& turn);
    void on(const Caller& caller, Install&& install, Turn<S>& turn);
    void on(const Caller& caller, const ExecuteResultView&, Turn<S>& turn) { turn.refuse_unasked(caller); }
    void on(const Caller& caller, const QueryResultView&, Turn<S>& turn) { turn.refuse_unasked(caller); }
    void on(const Caller& caller, const AppendResult& result, Turn<S>& turn);
    void on(const Caller& caller, InstallResult&& result, Turn<S>& turn);
    void on(const Caller& caller, PingResult&& result, Turn<S>& turn);
    void on(const Caller& caller, ViewChanged&& push, Turn<S>& turn);
    void on(const Caller& caller, Failure&& failure, Turn<S>& turn);
    /// All other messages are not for a replica. A request is answered with `unknown_method`; an answer that belongs to
    /// no request emits an event.
    template <typename Other>
    void on(const Caller& caller, Other&&, Turn<S>& turn);

    /// Passes a client's request to the primary's side if it is for this group and this server serves.
    template <typename Request>
    void serve(const Caller& caller, Method method, const Request& request, Turn<S>& turn);
    /// S1: adopts a newer view and refuses an older one. Whether the message is to be obeyed: it is of the current view
    /// and this server is a backup in it. Otherwise a replaced primary could still change logs.
    template <typename Request>
    bool obeys(const Caller& caller, Method method, const Request& request, Turn<S>& turn);
    /// The link of a backup that answered in this view, or null (S4: an answer counts only in the view that it names).
    /// An answer of an older view says nothing about the log as it is now.
    BackupLink<S>* admit_answer(const Caller& caller, ViewNumber view, Turn<S>& turn);
    /// A backup refused an append or a chunk, or does not have the view yet.
    void backup_refused(const Caller& caller, const Failure& failure, Turn<S>& turn);
    void ping_refused(const Caller& caller, const Failure& failure, Turn<S>& turn);

    // ---- checks: what is wrong with a request, if something is ----

    static std::optional<Fault> check_version(int theirs);
    std::optional<Fault> check_group(std::string_view theirs) const;
    std::optional<Fault> check_cluster(ClusterId theirs) const;
    std::optional<Fault> check_serving() const;
    /// Whether a message of the primary of `view` counts here.
    std::optional<Fault> check_view(ViewNumber view) const;

    // ---- views ----

    /// S1: takes over a view if it is newer, and enters the role that it gives to this server. A view of another
    /// cluster or group is refused. A view older than one that an earlier incarnation adopted is not adopted (S9).
    void adopt(const Address& from, const ViewInfo& info, Turn<S>& turn);
    /// S3: after `view.force` others may have dropped entries that this server has. It drops all of them, unless the
    /// view relies on its state.
    void follow_forced_view(ViewNumber forced, Turn<S>& turn);
    /// Starts the role of a new view. `news`: emits the role even if it is the same as before.
    void enter_view(Role before, bool news, Turn<S>& turn);
    /// S3: after `view.force` the log of this server may conflict with that of the forced primary. Drops all state.
    void drop_everything(Turn<S>& turn);
    /// Sends a ping with everything that the view service decides by (section 2).
    void ping(Time now, Output& out);

    ReplicaOptions options_;
    NodeState node_;
    ReplicatedState<S> state_;
    Primary<S> primary_;
    Backup<S> backup_;
    Pinger pinger_;
    Lease lease_;
    Journaling<S> journaling_;
    StoreWork<S> work_;
    bool leaving_ = false;           // `leave` was called
    bool leaving_sent_ = false;      // the last ping said so
    bool leaving_answered_ = false;  // the view service has answered such a ping
    bool stopped_ = false;           // serves no more in this view
};

}  // namespace understudy::replica

#include <understudy/replica/state_machine.ipp>
#include <understudy/replica/state_machine_views.ipp>
