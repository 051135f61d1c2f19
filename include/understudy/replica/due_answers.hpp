// Answers that wait until their connection takes them (C6). A primary that produced all that it is asked for at once
// would be silent while it encodes, hold it all in memory, and cut off a reader that reads as fast as it can.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <understudy/protocol/message.hpp>
#include <understudy/replica/calls.hpp>
#include <understudy/replica/session_results.hpp>

namespace understudy::replica {

/// An answer that may be given and was not produced yet. A read is answered from the state of the moment when it is:
/// one that is later than that which was confirmed, which `at` says.
struct DueAnswer {
    enum class Kind { query, dump, piece, result, ready };

    Call call;
    Kind kind = Kind::query;
    JsonText query{};                 ///< Of a query.
    Position at{};                    ///< The snapshot of a piece; where the command of a result took effect.
    std::uint64_t number = 0;         ///< The chunk.
    ResultText result{};              ///< Shared with the session table while that has it, and kept if it is closed.
    std::optional<Message> message{};  ///< One that nothing else remembers.
    std::size_t bytes = 0;            ///< Of that, of the result, or of the query.
    friend bool operator==(const DueAnswer&, const DueAnswer&) = default;
};

/// Who is answered now: connections that are not full, in turn, up to so many bytes in one turn.
class DueAnswers {
public:
    /// Whether an answer to that connection may be produced at once, before anything else that is due.
    bool may_answer(const Address& peer) const {
        return left_ > 0 && (peers_.empty() || peers_.find(peer) == peers_.end());
    }
    /// So many bytes were produced.
    void spend(std::size_t bytes) { left_ -= static_cast<std::int64_t>(bytes); }
    /// From now on so many may be.
    void begin_turn(std::size_t bytes) { left_ = static_cast<std::int64_t>(bytes); }

    void add(DueAnswer due) {
        auto& peer = peers_[due.call.peer];
        if (!peer.full) ready_.insert(due.call.peer);
        bytes_ += due.bytes;
        ++count_;
        peer.due.push_back(std::move(due));
    }
    bool can_take() const { return left_ > 0 && !ready_.empty(); }
    /// The next one to be produced in this turn.
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

    /// That connection takes no more at present, or takes more again.
    void backlog(const Address& name, bool full) {
        auto& peer = peers_[name];
        peer.full = full;
        if (full) ready_.erase(name);
        else if (!peer.due.empty()) ready_.insert(name);
        else peers_.erase(name);
    }
    /// Forgets the connection; how many answers to it were due.
    std::size_t gone(const Address& name) {
        ready_.erase(name);
        auto found = peers_.find(name);
        if (found == peers_.end()) return 0;
        const auto count = found->second.due.size();
        count_ -= count;
        for (const auto& due : found->second.due) bytes_ -= due.bytes;
        peers_.erase(found);
        return count;
    }
    /// Takes all that is due, of connections that are full too.
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
    /// Of messages that are kept whole, of results and of queries.
    std::size_t bytes() const { return bytes_; }
    std::size_t count() const { return count_; }

    friend bool operator==(const DueAnswers&, const DueAnswers&) = default;

private:
    struct Peer {
        bool full = false;
        std::deque<DueAnswer> due;
        friend bool operator==(const Peer&, const Peer&) = default;
    };
    std::map<Address, Peer> peers_;  // that are full or have something due
    std::set<Address> ready_;        // that have something due and are not full
    Address last_;
    std::size_t bytes_ = 0;
    std::size_t count_ = 0;
    std::int64_t left_ = 1;
};

}  // namespace understudy::replica
