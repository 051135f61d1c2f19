// The two servers of the prototype as state machines: they are given payloads, and write to the outbox. What arrives is
// handled at once, while it lies in its buffer; a turn, which follows when everything that was ready has been received,
// does what one does better for many.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/bench/prototype/state.hpp"

namespace understudy::bench::prototype {

/// Besides the messages of the protocol both answer this one, which says what they have applied.
inline constexpr char digest_method[] = R"(,"method":"bench.digest"})";
inline void write_digest(SendBuffer& out, std::uint64_t id, const State& state) {
    out.begin_frame();
    out.wrote(out.room(message_room) << before_id << id << R"(,"result":{"applied":)" << state.applied
                                     << R"(,"digest":)" << state.digest() % (1ull << 53) << "}}");
    out.end_frame();
}

class Backup {
public:
    explicit Backup(Outbox& out) : out_{out} {}

    void receive(PeerNumber from, std::string_view payload) {
        FastScanner in{payload};
        std::uint64_t id = 0;
        if (!in.literal(before_id) || !in.number(id)) unexpected(payload);
        if (in.literal(digest_method)) return write_digest(out_.to(from), id, state_);
        if (!append(in)) unexpected(payload);
        write_appended(out_.to(from), id, State::view, state_.log.last());
    }
    void turn() {
        state_.commit = std::max(state_.commit, std::min(told_, state_.log.last()));
        while (state_.applied < state_.commit) state_.apply_next();
        state_.trim();
    }
    void disconnected(PeerNumber) {}

    State& state() { return state_; }

private:
    /// Appends entries that continue the log.
    bool append(FastScanner& in) {
        std::uint64_t view = 0, commit = 0;
        Position prev;
        if (!in.literal(R"(,"method":"replica.append","params":{)") || !in.literal(scope) ||
            !in.literal(R"(,"view":)") || !in.number(view) || !in.literal(R"(,"prev":)") || !take(in, prev))
            return false;
        auto& log = state_.log;
        if (view != State::view || prev != log.position(log.last())) return false;
        if (in.literal(R"(,"entries":[)")) {
            do {
                Entry entry;
                if (!take(in, entry) || entry.at.index != log.last() + 1 || entry.at.view > view) return false;
                log.append(entry);
            } while (in.literal(","));
            if (!in.literal("]")) return false;
        }
        if (!in.literal(R"(,"commit":)") || !in.number(commit) || !in.literal("}}") || !in.at_end()) return false;
        told_ = std::max(told_, commit);
        return true;
    }

    Outbox& out_;
    State state_;
    std::uint64_t told_ = 0;  // the newest commit index of the primary
};

class Primary {
public:
    Primary(Outbox& out, PeerNumber backup) : out_{out}, backup_{backup} {}

    void receive(PeerNumber from, std::string_view payload) {
        FastScanner in{payload};
        std::uint64_t id = 0;
        const bool good =
            in.literal(before_id) && in.number(id) && (from == backup_ ? appended(in) : request(from, id, in));
        if (!good || !in.at_end()) unexpected(payload);
    }
    /// Entries leave first: the backup's work is what the clients wait for.
    void turn() {
        state_.commit = std::max(state_.commit, match_);
        while (sent_ < state_.log.last()) send_entries();
        while (state_.applied < state_.commit) answer(state_.apply_next());
        state_.trim();
    }
    void disconnected(PeerNumber peer) {
        if (peer == backup_) throw std::runtime_error{"the prototype's backup is gone"};
    }

    State& state() { return state_; }

private:
    struct Waiting {
        PeerNumber peer = 0;
        std::uint64_t id = 0;
    };

    bool appended(FastScanner& in) {
        std::uint64_t view = 0, match = 0;
        if (!in.literal(R"(,"result":{"view":)") || !in.number(view) || !in.literal(R"(,"match":)") ||
            !in.number(match) || !in.literal("}}") || view != State::view || match > sent_)
            return false;
        match_ = std::max(match_, match);
        return true;
    }
    bool request(PeerNumber from, std::uint64_t id, FastScanner& in) {
        if (in.literal(R"(,"method":"pb.execute","params":{)")) return in.literal(scope) && execute(from, id, in);
        if (in.literal(R"(,"method":"pb.query","params":{)")) return in.literal(scope) && query(from, id, in);
        if (in.literal(R"(,"method":"pb.open","params":{"protocol":1,)")) {
            append(from, id, {});
            return in.literal(scope) && in.literal("}}");
        }
        if (!in.literal(digest_method)) return false;
        send_entries();  // without entries, if there are none: the backup learns what is committed
        write_digest(out_.to(from), id, state_);
        return true;
    }
    bool execute(PeerNumber from, std::uint64_t id, FastScanner& in) {
        Entry entry;
        if (!in.literal(",") || !take_command(in, entry) || !in.literal("}")) return false;
        if (const auto* former = state_.session(entry.session).find(entry.seq))
            write_executed(out_.to(from), id, former->at, former->length);
        else
            append(from, id, entry);
        return true;
    }
    /// A read by lease: what is applied is what was answered, so it needs nobody else.
    bool query(PeerNumber from, std::uint64_t id, FastScanner& in) {
        std::string_view key;
        if (!in.literal(R"(,"query":{"op":"get","key":)") || !in.plain(key) || !in.literal("}}}")) return false;
        write_value(out_.to(from), id, state_.log.position(state_.applied), state_.map.find(key));
        return true;
    }

    void append(PeerNumber from, std::uint64_t id, Entry entry) {
        if (calls_.size() <= from) calls_.resize(from + 1);
        if (waiting_.next() - waiting_.first() >= limits_.max_calls || ++calls_[from] > limits_.max_calls_per_peer)
            throw std::runtime_error{"the prototype is overloaded"};
        entry.at = {State::view, state_.log.last() + 1};
        state_.log.append(entry);
        waiting_.push() = {from, id};
    }
    /// Answers the call of the entry that was just applied.
    void answer(const Outcome& outcome) {
        const auto call = waiting_[state_.applied];
        waiting_.pop();
        --calls_[call.peer];
        auto& out = out_.to(call.peer);
        if (state_.log[state_.applied].opens()) return write_opened(out, call.id, outcome.at);
        write_executed(out, call.id, outcome.at, outcome.length);
    }

    /// One message with the entries that the backup was not sent yet, as many as belong into one.
    void send_entries() {
        auto& out = out_.to(backup_);
        begin_append(out, ++appends_, State::view, state_.log.position(sent_));
        const bool any = sent_ < state_.log.last();
        if (any) out.wrote(out.room(message_room) << R"(,"entries":[)");
        for (std::size_t bytes = 0; sent_ < state_.log.last() && bytes < limits_.append_bytes;) {
            const auto& entry = state_.log[++sent_];
            if (bytes > 0) out.wrote(out.room(1) << ",");
            write(out, entry);
            bytes += std::max<std::size_t>(1, entry.command.text.size());
        }
        if (any) out.wrote(out.room(1) << "]");
        end_append(out, state_.commit);
    }

    Outbox& out_;
    PeerNumber backup_;
    State state_;
    ReplicaOptions limits_;
    std::uint64_t sent_ = 0, match_ = 0, appends_ = 0;
    NumberedQueue<Waiting> waiting_;    // one call for each entry that is not applied
    std::vector<std::uint32_t> calls_;  // of each peer, in progress
};

}  // namespace understudy::bench::prototype
