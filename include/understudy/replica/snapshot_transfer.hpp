// State transfer in chunks (rule S8). The sender reads a snapshot piece by piece and retains the chunks that are not
// acknowledged yet. The receiver builds a new state beside its own, and replaces its own when the new one is complete.
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

/// The sending side of one transfer. A snapshot consists of the session table, then the store's own bytes; an empty
/// chunk ends it. Chunks are numbered from 0. `max` is the bytes of a chunk, and must be the same in all calls: a
/// receiver may continue a snapshot with chunks that it got from an earlier transfer.
template <TextStore S>
class OutgoingSnapshot {
public:
    /// Takes a snapshot of what is applied. `by` is the incarnation of this server; it is part of the snapshot's id.
    OutgoingSnapshot(const ReplicatedState<S>& state, Incarnation by)
        : id_{by, state.applied}, sessions_{state.sessions}, reader_{state.store.snapshot()} {}

    const SnapshotId& id() const { return id_; }
    /// How many chunks, and bytes, the receiver has acknowledged.
    std::uint64_t acknowledged() const { return acknowledged_; }
    std::uint64_t acknowledged_bytes() const { return acknowledged_bytes_; }

    /// Whether chunk `n` can be sent: it is retained because it is not acknowledged, or it is the next one to be read.
    bool can_send(std::uint64_t n) const { return n >= acknowledged_ && (n < end() || (n == end() && !exhausted_)); }
    /// Whether chunk `n`, which was read, is the empty one that ends the snapshot.
    bool is_last(std::uint64_t n) const { return exhausted_ && n + 1 == end(); }

    /// The bytes of chunk `n`, for which `can_send` holds. Reads them from the snapshot if it is the next one.
    const std::string& chunk(std::uint64_t n, std::size_t max) {
        UNDERSTUDY_CHECK(can_send(n));
        if (n == end()) {
            unacknowledged_.push_back(read(max));
            exhausted_ = unacknowledged_.back().empty();
        }
        return unacknowledged_[static_cast<std::size_t>(n - acknowledged_)];
    }

    /// The receiver wants chunk `next` now, so it has all chunks before it; these are dropped here. Returns false if
    /// that chunk cannot be given: it was dropped already, or is beyond the end. Then only a new snapshot helps. A
    /// receiver may want a chunk that was not read yet: it has the chunks before it from an earlier transfer of the
    /// same snapshot, divided by the same `max`. These are read and skipped.
    bool acknowledge(std::uint64_t next, std::size_t max) {
        while (end() < next && !exhausted_) chunk(end(), max);
        if (next < acknowledged_ || next > end()) return false;
        for (; acknowledged_ < next; ++acknowledged_) {
            acknowledged_bytes_ += unacknowledged_.front().size();
            unacknowledged_.pop_front();
        }
        return true;
    }
    /// Whether all chunks are acknowledged, the last one too.
    bool complete() const { return exhausted_ && unacknowledged_.empty(); }

    friend bool operator==(const OutgoingSnapshot&, const OutgoingSnapshot&) = default;

private:
    using Reader = decltype(std::declval<const S&>().snapshot());

    /// The number of the next chunk to be read.
    std::uint64_t end() const { return acknowledged_ + unacknowledged_.size(); }

    /// The next chunk. None holds the end of the session table together with bytes of the store.
    std::string read(std::size_t max) { return sessions_.left() > 0 ? sessions_.read(max) : reader_.read(max); }

    SnapshotId id_;
    SessionTableWriter sessions_;
    Reader reader_;
    std::deque<std::string> unacknowledged_;  // the chunks read, from `acknowledged_` on
    std::uint64_t acknowledged_ = 0;
    std::uint64_t acknowledged_bytes_ = 0;
    bool exhausted_ = false;  // the last chunk, which is empty, was read
};

/// The receiving side of one transfer. The server's own state stays as it is until `finish`.
template <TextStore S>
class IncomingSnapshot {
public:
    /// `empty` is the store as the host gave it (`ReplicatedState::empty`); the snapshot is restored into a copy.
    IncomingSnapshot(SnapshotId id, const S& empty) : id_{id}, store_{empty} {}

    const SnapshotId& id() const { return id_; }
    /// The number of the chunk that is wanted next.
    std::uint64_t next() const { return next_; }
    /// How many bytes were received.
    std::uint64_t bytes() const { return bytes_; }

    /// Takes the chunk with the number `next()`. Returns an empty string, or human-readable text that says what is
    /// wrong; after that this object is of no more use.
    std::string feed(std::string_view data, bool last) {
        ++next_;
        bytes_ += data.size();
        std::string rest;
        if (!sessions_.complete()) {
            if (auto wrong = sessions_.feed(data); !wrong.empty()) return wrong;
            if (sessions_.complete()) {  // bytes behind the table, if any, belong to the store
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

    /// Replaces the store and the sessions of `state` by those received, once the last chunk was taken without an
    /// error. If the log contains the snapshot's last entry, the entries after it follow from the snapshot and stay.
    /// Else the log may have parted from the primary's, and is emptied (S8).
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
