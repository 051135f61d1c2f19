// Answers that wait until their connection can send them (C6). A primary that produced all answers at once would be
// silent while it encodes them, would need memory for all of them, and would disconnect a client although it reads as
// fast as it can.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <understudy/protocol/caller.hpp>
#include <understudy/protocol/message.hpp>
#include <understudy/replica/session_results.hpp>

namespace understudy::replica {

/// An answer that may be sent but is not produced yet. A read is answered from the state at the time when it is
/// produced. This state is at least as new as the one that was confirmed; the answer's `at` names it.
struct DueAnswer {
    enum class Kind { query, dump, piece, result, ready };

    Caller caller;
    Kind kind = Kind::query;
    JsonText query{};                 ///< The text of a query.
    Position at{};                    ///< Of a piece: its snapshot. Of a result: where the command took effect.
    std::uint64_t number = 0;         ///< The chunk number of a piece.
    /// Shared with the session table while that has it; stays valid if the session is closed.
    ResultText result{};
    std::optional<Message> message{};  ///< A message that is stored nowhere else.
    std::size_t bytes = 0;            ///< Bytes of the message, the result or the query.
    friend bool operator==(const DueAnswer&, const DueAnswer&) = default;
};

/// Chooses which waiting answer is produced next. Connections that can send are served in turn, up to a number of bytes
/// in each turn. Costs O(log n) in the number of connections, except `disconnected` and `take_all`.
class DueAnswers {
public:
    /// Whether an answer to that connection may be produced at once: the turn has bytes left, the connection is not
    /// full, and no older answer to it waits.
    bool may_answer(const Address& peer) const {
        return left_ > 0 && (peers_.empty() || peers_.find(peer) == peers_.end());
    }
    /// So many bytes of answers were produced.
    void spend(std::size_t bytes) { left_ -= static_cast<std::int64_t>(bytes); }
    /// Starts a turn: up to `bytes` of answers may be produced in it, and at least one answer.
    void begin_turn(std::size_t bytes) { left_ = static_cast<std::int64_t>(bytes); }

    /// Adds an answer. It is produced after the earlier ones to the same connection.
    void add(DueAnswer due) {
        auto& peer = peers_[due.caller.peer];
        if (!peer.full) ready_.insert(due.caller.peer);
        bytes_ += due.bytes;
        ++count_;
        peer.due.push_back(std::move(due));
    }
    /// Whether an answer can be produced now.
    bool can_take() const { return left_ > 0 && !ready_.empty(); }
    /// Removes and returns the next answer to produce; none if the turn's bytes are used up or no connection can send.
    std::optional<DueAnswer> take() {
        if (left_ <= 0 || ready_.empty()) return std::nullopt;
        auto name = ready_.upper_bound(last_);
        if (name == ready_.end()) name = ready_.begin();
        last_ = *name;
        auto found = peers_.find(last_);
        auto due = std::move(found->second.due.front());
        found->second.due.pop_front();
        bytes_ -= due.bytes;
        --count_;
        if (found->second.due.empty()) {
            ready_.erase(name);
            peers_.erase(found);
        }
        return due;
    }

    /// The send queue of that connection became full, or has room again.
    void backlog(const Address& name, bool full) {
        auto& peer = peers_[name];
        peer.full = full;
        if (full) ready_.erase(name);
        else if (!peer.due.empty()) ready_.insert(name);
        else peers_.erase(name);
    }
    /// The connection ended: drops its answers, and returns how many there were.
    std::size_t disconnected(const Address& name) {
        ready_.erase(name);
        auto found = peers_.find(name);
        if (found == peers_.end()) return 0;
        const auto count = found->second.due.size();
        count_ -= count;
        for (const auto& due : found->second.due) bytes_ -= due.bytes;
        peers_.erase(found);
        return count;
    }
    /// Removes and returns all answers, also those whose connection is full. It stays known which
    /// connections are full.
    std::deque<DueAnswer> take_all() {
        std::deque<DueAnswer> all;
        for (auto peer = peers_.begin(); peer != peers_.end();) {
            for (auto& due : peer->second.due) all.push_back(std::move(due));
            peer->second.due.clear();
            peer = peer->second.full ? std::next(peer) : peers_.erase(peer);
        }
        ready_.clear();
        bytes_ = 0;
        count_ = 0;
        return all;
    }

    /// Whether the next turn has something to produce.
    bool any_ready() const { return !ready_.empty(); }
    /// Bytes of the waiting messages, results and queries.
    std::size_t bytes() const { return bytes_; }
    std::size_t count() const { return count_; }

    friend bool operator==(const DueAnswers&, const DueAnswers&) = default;

private:
    struct Peer {
        bool full = false;
        std::deque<DueAnswer> due;
        friend bool operator==(const Peer&, const Peer&) = default;
    };
    std::map<Address, Peer> peers_;  // those that are full or have an answer waiting
    std::set<Address> ready_;        // those that have an answer waiting and are not full
    Address last_;                   // the connection that was served last
    std::size_t bytes_ = 0;
    std::size_t count_ = 0;
    std::int64_t left_ = 1;  // bytes left in this turn; the last answer may exceed it
};

}  // namespace understudy::replica
