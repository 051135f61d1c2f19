// ClientStateMachine, continued: the view that it follows (rule C1).
#pragma once

#include <utility>

#include <understudy/client/state_machine.hpp>

namespace understudy::client {

// Adopts the view if it is newer than the known one (`is_newer`), and returns true then.
inline bool ClientStateMachine::learn(const ViewInfo& info, const Address& from, Turn& turn) {
    if (info.group != options_.group) {
        turn.refuse(from, {error::wrong_group, "a view of group " + info.group});
        return false;
    }
    if (has_view() && info.cluster != view_.cluster && (info.view.number != 0 || info.cluster != ClusterId::none)) {
        auto why = "a view of cluster " + to_hex(info.cluster) + ", this client is of " + to_hex(view_.cluster);
        turn.refuse(from, {error::wrong_cluster, why});
        // Only the view service decides that the cluster is lost. From a server the view proves nothing: that server
        // may belong to another cluster by mistake.
        if (follower_.is_view_service(from))
            end_all(error::wrong_cluster, std::move(why));
        else
            follower_.ask_again(turn.now);
        return false;
    }
    if (!is_newer(info.view, view_.view)) return false;
    auto moved = info.view.primary.name != primary().name || info.view.primary.incarnation != primary().incarnation;
    view_ = info;
    primary_peer_ = primary().name;
    trouble_.clear();
    follower_.helped();
    // Answers of the former primary still count, but must not be awaited: it may have failed.
    if (moved) {
        if (calls_.in_flight() > 0) reached("C2: what is unanswered is sent to the next primary too");
        calls_.requeue_all();
        opening_.lost();
    }
    if (moved && leaving()) farewell_.send_at(turn.now);
    if (moved || lost_) resume_all();
    return true;
}

inline void ClientStateMachine::on(const Caller& caller, ViewResult&& result, Turn& turn) {
    auto name = read_call_id(caller.id);
    if ((name.method != Method::view_watch && name.method != Method::view_get) || !follower_.made(name.n))
        return turn.refuse(caller.peer, {error::invalid_request, "a view that nobody asked for"});
    follower_.answered(name.n, result.info.view.number != 0);
    no_view_why_ = std::move(result.trouble);
    learn(result.info, caller.peer, turn);
}

inline void ClientStateMachine::on(const Caller& caller, ViewChanged&& news, Turn& turn) {
    if (!follower_.is_view_service(caller.peer))
        return turn.refuse(caller.peer, {error::unauthorized, "view.changed not from the view service"});
    if (learn(news.info, caller.peer, turn)) reached("C1: a client follows the views that are pushed");
}

}  // namespace understudy::client
