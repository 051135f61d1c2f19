// State transfer by chunks (rule S8): one side reads a snapshot piece by piece and keeps what is not acknowledged yet,
// the other builds a new state beside its own and swaps it in when it is whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>

#include <understudy/replica/replicated_state.hpp>
#include <understudy/replica/session_table.hpp>

namespace understudy::replica {

/// The sending side. A snapshot is the session table, then the store's own bytes; an empty chunk ends it.
template <TextStore S>
class OutgoingSnapshot {
public:
    OutgoingSnapshot(const ReplicatedState<S>& state, Incarnation by)
        : id_{by, state.applied}, sessions_{state.sessions}, reader_{state.store.snapshot()} {}

    const SnapshotId& id() const { return id_; }
    std::uint64_t acknowledged() const { return acknowledged_; }
    std::uint64_t acknowledged_bytes() const { return acknowledged_bytes_; }

    /// Whether chunk `n` can be sent: the receiver may ask again for what it has not acknowledged, and for the next.
    bool can_send(std::uint64_t n) const { return n >= acknowledged_ && (n < end() || (n == end() && !exhausted_)); }
    bool is_last(std::uint64_t n) const { return exhausted_ && n + 1 == end(); }

    /// The bytes of a chunk that can be sent; reads on when it is a new one.
    const std::string& chunk(std::uint64_t n, std::size_t max) {
        UNDERSTUDY_CHECK(can_send(n));
        if (n == end()) {
            unacknowledged_.push_back(read(max));
            exhausted_ = unacknowledged_.back().empty();
        }
        return unacknowledged_[static_cast<std::size_t>(n - acknowledged_)];
    }

    /// The receiver wants `next` now. False if that chunk is gone: then only a new snapshot helps. A receiver that is
    /// ahead holds chunks of an earlier transfer of the same snapshot, cut by the same `max`: they are skipped.
    bool acknowledge(std::uint64_t next, std::size_t max) {
        while (end() < next && !exhausted_) chunk(end(), max);
        if (next < acknowledged_ || next > end()) return false;
        for (; acknowledged_ < next; ++acknowledged_) {
            acknowledged_bytes_ += unacknowledged_.front().size();
            unacknowledged_.pop_front();
        }
        return true;
    }
    bool complete() const { return exhausted_ && unacknowledged_.empty(); }

    friend bool operator==(const OutgoingSnapshot&, const OutgoingSnapshot&) = default;

private:
    using Reader = decltype(std::declval<const S&>().snapshot());

    std::uint64_t end() const { return acknowledged_ + unacknowledged_.size(); }

    std::string read(std::size_t max) { return sessions_.left() > 0 ? sessions_.read(max) : reader_.read(max); }

    SnapshotId id_;
    SessionTableWriter sessions_;
    Reader reader_;
    std::deque<std::string> unacknowledged_;
    std::uint64_t acknowledged_ = 0;
    std::uint64_t acknowledged_bytes_ = 0;
    bool exhausted_ = false;
};

/// The receiving side. The server's own state stays untouched until `finish`.
template <TextStore S>
class IncomingSnapshot {
public:
    IncomingSnapshot(SnapshotId id, const S& empty) : id_{id}, store_{empty} {}

    const SnapshotId& id() const { return id_; }
    std::uint64_t next() const { return next_; }
    std::uint64_t bytes() const { return bytes_; }

    /// Takes chunk `next()`; returns what was wrong with it, or an empty string.
    std::string feed(std::string_view data, bool last) {
        ++next_;
        bytes_ += data.size();
        std::string rest;
        if (!sessions_.complete()) {
            if (auto wrong = sessions_.feed(data); !wrong.empty()) return wrong;
            if (sessions_.complete()) {
                rest = sessions_.take_rest();
                data = rest;
                if (auto wrong = store_.restore_begin(); !wrong.empty()) return wrong;
            }
        }
        if (!data.empty())
            if (auto wrong = store_.restore_chunk(data); !wrong.empty()) return wrong;
        if (!last) return {};
        return sessions_.complete() ? store_.restore_end() : "the snapshot ends within its session table";
    }

    /// Replaces `state` by what was received. Later entries stay if the log has the snapshot's last one (S8).
    void finish(ReplicatedState<S>& state) {
        if (!state.log.has(id_.at)) state.reset(id_.at);
        state.store = std::move(store_);
        state.sessions = sessions_.take_table();
        state.applied = id_.at;
        state.commit = id_.at.index;
    }

    friend bool operator==(const IncomingSnapshot&, const IncomingSnapshot&) = default;

private:
    SnapshotId id_;
    std::uint64_t next_ = 0;
    std::uint64_t bytes_ = 0;
    SessionTableReader sessions_;
    S store_;
};

}  // namespace understudy::replica
