// The part of the replica's state machine that deals with views: what follows from a newer one, and the pings that
// report to the view service.
#pragma once

#include <algorithm>
#include <string>
#include <utility>

#include <understudy/replica/state_machine.hpp>

namespace understudy::replica {

template <TextStore S>
void ReplicaStateMachine<S>::adopt(const Address& from, const ViewInfo& info, Turn<S>& turn) {
    if (info.group != options_.group || (node_.knows_cluster() && info.cluster != node_.info.cluster)) {
        if (info.view.number != 0)
            turn.out.emit(Refused{from, error::wrong_cluster, "a view of another cluster or group"});
        return;
    }
    if (!is_newer(info.view, turn.view()) || info.view.number < journaling_.former_view()) {
        if (info.view.number < std::max(turn.view().number, journaling_.former_view()))
            reached("S1: an older view is not adopted");
        if (info.view.number == turn.view().number && info.view.number != 0)
            node_.info.ping_interval = workable(info.ping_interval);
        return;
    }
    auto seen = turn.view().number;
    auto before = role();
    reached("S1: a newer view is adopted");
    node_.info = info;
    node_.info.ping_interval = workable(info.ping_interval);
    journaling_.adopted(state_, node_);
    if (info.view.number == seen) return;  // only more backups in sync
    if (auto forced = info.view.forced; forced > std::max(seen, journaling_.former_view()))
        follow_forced_view(forced, turn);
    enter_view(before, seen == 0, turn);
    pinger_.make_due();
}

template <TextStore S>
void ReplicaStateMachine<S>::follow_forced_view(ViewNumber forced, Turn<S>& turn) {
    reached("S3: after a forced view a server drops what it has");
    if (primary_.serving()) primary_.step_down("view " + std::to_string(forced) + " was forced", turn);
    if (!journaling_.is_relied_on(node_)) drop_everything(turn);
}

template <TextStore S>
void ReplicaStateMachine<S>::enter_view(Role before, bool news, Turn<S>& turn) {
    stopped_ = leaving_ && role() != Role::primary;
    lease_.end();
    backup_.enter_view();
    if (role() == Role::primary)
        primary_.serving() ? primary_.go_on(turn) : primary_.take_over(turn);  // S6, S5
    else if (primary_.serving())
        primary_.step_down("view " + std::to_string(turn.view().number) + " has another primary", turn);  // S6
    if (role() != before || news) turn.out.emit(RoleChanged{options_.group, role(), turn.view().number});
}

template <TextStore S>
void ReplicaStateMachine<S>::drop_everything(Turn<S>& turn) {
    if (state_.log.last().index != 0) turn.out.emit(LogTruncated{1, state_.log.last().index, state_.commit > 0});
    state_.clear();
    backup_.drop_snapshot();
    journaling_.replaced(state_);
}

template <TextStore S>
void ReplicaStateMachine<S>::ping(Time now, Output& out) {
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
        ping.synced = primary_.backups().in_sync();
        ping.unreachable = primary_.backups().unreachable();
    }
    ping.stopped = stopped_;
    ping.leaving = leaving_sent_ = leaving_;
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

}  // namespace understudy::replica
