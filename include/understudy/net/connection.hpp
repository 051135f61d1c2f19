// One socket connection: reads frames, writes frames, and closes in order. A read waits until the socket is readable
// and then takes what is there, so an idle connection holds no receive buffer. A write appends to a send buffer, which
// is flushed to the kernel once per turn. A write waits only when the kernel's socket buffer is full.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/buffer.hpp>
#include <asio/error.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>

#include <understudy/error.hpp>
#include <understudy/net/connect.hpp>
#include <understudy/net/connection_owner.hpp>
#include <understudy/net/receive_queue.hpp>
#include <understudy/net/send_buffer.hpp>
#include <understudy/options.hpp>
#include <understudy/view.hpp>
#include <understudy/wire/frame.hpp>

namespace understudy::net {

/// A framed connection, dialled or accepted. It begins without a socket: frames sent before `open` wait in the send
/// buffer. Not thread-safe: it runs on the executor. The owner is referenced until the connection is closed.
class Connection : public std::enable_shared_from_this<Connection> {
public:
    static constexpr std::size_t largest_room = 256u << 10;  ///< Maximum bytes of one read.

    Connection(const asio::any_io_executor& executor, std::shared_ptr<ConnectionOwner> owner, Peer peer,
               bool dialled, const TransportOptions& options)
        : owner_{std::move(owner)},
          peer_{std::move(peer)},
          dialled_{dialled},
          socket_{executor},
          decoder_{options.max_frame},
          max_send_queue_{options.max_send_queue},
          full_send_queue_{std::min(options.full_send_queue, options.max_send_queue)},
          source_{std::make_shared<ReceiveQueue::Queue::Source>(dialled)} {}

    const Peer& peer() const { return peer_; }
    PeerRoute route;  ///< A note of the owner: where it keeps this connection.
    bool dialled() const { return dialled_; }
    /// Whether the peer has sent at least one complete frame.
    bool heard() const { return frames_ > 0; }
    /// Whether the owner was already told that the peer has disconnected (`ConnectionOwner::half_closed`).
    bool half_closed() const { return half_closed_; }
    /// Whether at least one frame of the peer was a message, that is, was not reported by `malformed` so far.
    bool said_something() const { return frames_ > malformed_; }
    /// One frame of the peer was not a message.
    void malformed() { ++malformed_; }
    /// Whether a frame has begun and is not complete.
    bool amid_frame() const { return decoder_.pending() > 0; }
    /// Bytes of memory that hold half a frame.
    std::size_t half_frame() const { return counted_; }
    /// Bytes of memory of half a frame and of the send buffer.
    std::size_t memory() const { return decoder_.capacity() + out_.memory(); }
    /// Sequence number of this half frame among the half frames of all connections, in the order in which they began.
    std::uint64_t half_frame_number() const { return half_; }
    /// A flag of the owner: the connection waits until its delivered frames are handled. Returns true if it changed.
    bool note_stalled(bool on) { return std::exchange(stalled_, on) != on; }
    /// The source under which the receive queue counts its frames.
    const ReceiveQueue::Source& source() const { return source_; }

    /// Takes a connected socket, sends the waiting frames and begins to read.
    void open(Socket socket) {
        socket_ = std::move(socket);
        state_ = State::open;
        flush();
        resume_reading();
    }

    /// Appends a frame to the send buffer. If it would exceed `max_send_queue`, an open connection is ended; a frame
    /// for a connection that is still being dialled is dropped. Does nothing after the connection has ended or a write
    /// has failed. Never blocks.
    void send(std::string_view payload) {
        if (state_ > State::open || write_fault_) return;
        const auto has_room = [&] { return out_.size() + payload.size() <= max_send_queue_; };
        std::shared_ptr<Connection> keep_alive;
        if (!has_room()) {
            keep_alive = shared_from_this();  // the caller may hold none, and both steps may end the connection
            flush();
            if (state_ > State::open || write_fault_) return;
        }
        if (!has_room()) {
            if (state_ != State::open) return;
            end("the peer reads too slowly: " + std::to_string(out_.size()) + " bytes wait for it");
            return;
        }
        out_.append_frame(payload, owner_->memory().blocks);
        note_appended();
    }
    /// The same for a payload that is written in place: append it to the string, then call `end_frame` or `drop_frame`.
    /// Null if it would not be sent.
    std::string* begin_frame() {
        return state_ > State::open || write_fault_ ? nullptr : &out_.begin_frame(owner_->memory().blocks);
    }
    void end_frame() {
        out_.end_frame();
        if (out_.size() - wire::frame_header <= max_send_queue_) return note_appended();
        send(out_.drop_frame());  // which makes room, if that helps
    }
    void drop_frame() { out_.drop_frame(); }

    /// Writes to the kernel as much of the send buffer as it takes, and waits for room if some is left.
    void flush() {
        flush_due_ = false;
        if (awaits_room_ || out_.empty() || !socket_.is_open()) return;
        std::error_code fault;
        idle_checks_ = 0;
        for (bool all = true; all && !fault && !out_.empty();) {  // a block at a time
            const auto next = out_.data();
            const auto count = socket_.write_some(next, fault);
            all = count == next.size();
            out_.consume(count, owner_->memory().blocks);
        }
        if (fault && !is_temporary(fault)) return stop_writing(fault);
        note_backlog();
        if (!out_.empty()) return await_room();
        // The error has been sent; shut down sending so that the peer sees the end of the stream.
        if (state_ == State::lingering) socket_.shutdown(Socket::shutdown_send, fault);
        if (half_closed_ && !owes_answers()) end("closed by the peer");
    }

    /// The owner calls this at intervals of half `write_timeout`. Returns whether the connection still waits for its
    /// peer to take bytes. If the peer took nothing over two intervals, as far as the kernel tells, the connection is
    /// ended. Without this, a peer that does not read would hold its send queue for ever.
    bool check_progress() {
        if (!awaits_room_ || state_ != State::open) return false;
        const auto untaken = untaken_by_peer(socket_.native_handle());
        if (untaken != untaken_) idle_checks_ = 0;
        untaken_ = untaken;
        if (++idle_checks_ <= 2) return true;
        end("the peer takes nothing: " + std::to_string(out_.size()) + " bytes wait for it");
        return false;
    }

    /// Stops reading and holds back the frames that were delivered and not handled yet.
    void pause() {
        paused_ = true;
        if (owner_) owner_->bar(*this, true);
        if (write_fault_ && state_ == State::open) end(write_fault_.message());
    }
    /// Reads again after `pause`.
    void resume() {
        paused_ = false;
        read_on();
    }

    /// Reads on after `may_deliver` returned false. It may be called any number of times; at most one wait is pending.
    void resume_reading() {
        if (state_ != State::open || is_held() || awaits_bytes_ || half_closed_) return;
        if (decoder_.pending() == 0) return await_bytes();
        // The decoder may hold complete frames already, for which the socket will not become readable.
        awaits_bytes_ = true;
        asio::post(socket_.get_executor(), [self = shared_from_this()] {
            self->awaits_bytes_ = false;
            if (self->state_ == State::open && !self->is_held()) self->deliver();
        });
    }

    /// The owner calls this at equal intervals after `ConnectionOwner::attend`. A half frame must be complete, or have
    /// grown by `least_progress`, within `max_intervals` intervals; otherwise the connection is cut off. Intervals in
    /// which the connection was not read do not count. The memory of a send buffer that was idle for an interval is
    /// freed. Returns false if there is nothing left to check; then the owner stops calling.
    bool tick(unsigned max_intervals) {
        if (state_ == State::closed) return attended_ = false;
        if (!std::exchange(sent_lately_, false) && out_.empty()) out_.release();
        const auto pending = decoder_.pending();
        if (pending == 0 || frames_ != marked_frames_ || pending >= marked_ + least_progress) {
            marked_ = pending;
            marked_frames_ = frames_;
            without_progress_ = 0;
        } else if (state_ == State::open && awaits_bytes_ && !is_held() && ++without_progress_ > max_intervals) {
            attended_ = false;
            cut_off(error::parse_error, "a frame was begun and does not go on");
            return false;
        }
        return attended_ = pending > 0 || out_.memory() > 0;
    }

    /// Closes the socket without a call to the owner.
    void close() {
        state_ = State::closed;
        forget_input();
        out_.release();
        std::error_code ignored;
        socket_.close(ignored);
        if (linger_) linger_->cancel();
        owner_.reset();
    }

    /// Closes the socket and calls `ConnectionOwner::ended` with the reason.
    void end(std::string why) {
        const auto keep_alive = shared_from_this();  // the owner may hold the last pointer
        const auto owner = owner_;
        close();
        if (owner) owner->ended(*this, std::move(why));
    }

    /// As `end`, for a connection that exceeded a limit: `ConnectionOwner::exceeded` is called first.
    void cut_off(error code, std::string why) {
        if (const auto owner = owner_) owner->exceeded(*this, code, why);
        end(std::move(why));
    }

private:
    enum class State { dialling, open, lingering, closed };

    // The size of one read grows by a factor of four while reads fill it, and shrinks when more was read than may be
    // delivered.
    static constexpr std::size_t smallest_room = 4u << 10;
    static constexpr std::size_t least_progress = 1u << 10;
    static constexpr auto longest_linger = std::chrono::seconds{2};
    static constexpr auto longest_half_close = std::chrono::seconds{10};

    static bool is_temporary(std::error_code fault) {
        return fault == asio::error::would_block || fault == asio::error::try_again ||
               fault == asio::error::interrupted;
    }

    void note_appended() {
        ++answers_;
        if (awaits_room_) note_backlog();
        sent_lately_ = true;
        if (!attended_) attend();
        if (state_ == State::open && !flush_due_ && !awaits_room_) {
            flush_due_ = true;
            owner_->flush_later(*this);
        }
    }

    // Waits for readability instead of starting a read: a pending read would have to own a buffer, and thousands of
    // idle connections would hold thousands of buffers.
    void await_bytes() {
        awaits_bytes_ = true;
        socket_.async_wait(Socket::wait_read, [self = shared_from_this()](std::error_code fault) {
            self->awaits_bytes_ = false;
            if (fault) return;  // closed
            if (self->state_ == State::lingering) return self->discard();
            if (self->state_ == State::open) self->read();
        });
    }

    /// Whether reading is suspended: by `pause`, or because the send queue is full (the peer does not take its
    /// answers). A full send queue never suspends a dialled connection: two peers that each wait for the other to read
    /// would be deadlocked.
    bool is_held() const { return paused_ || full_; }
    void read_on() {
        if (is_held() || !owner_) return;
        owner_->bar(*this, false);
        resume_reading();
    }

    // Updates `full_`, with hysteresis: full from `full_send_queue` on, and until half of it is reached again.
    void note_backlog() {
        const bool full = full_ ? out_.size() > full_send_queue_ / 2 : out_.size() >= full_send_queue_;
        if (dialled_ || half_closed_ || full == full_ || !owner_) return;
        full_ = full;
        owner_->backlog(*this, full);
        if (full_) owner_->bar(*this, true);
        else read_on();
    }

    // Reads once into the shared buffer and delivers the frames. At the end of the stream an accepted connection that
    // owes answers is kept for a while; any other one ends.
    void read() {
        if (is_held() || !owner_->may_deliver(*this)) return;
        auto& memory = owner_->memory();
        decoder_.borrow(memory.shared, memory.rooms);
        const auto room = decoder_.prepare(decoder_.appetite(room_), &memory.rooms);
        std::error_code fault;
        const auto count = socket_.read_some(asio::buffer(room.data(), room.size()), fault);
        decoder_.commit(count);
        if (fault && !is_temporary(fault)) {
            keep_rest(false);
            if (fault == asio::error::eof && decoder_.pending() == 0 && owes_answers()) return await_answers();
            return end(why_ended(fault));
        }
        if (count >= room_) room_ = std::min(room_ * 4, largest_room);
        deliver();
    }

    /// Whether requests of an accepted connection are not answered yet. It compares the numbers of frames.
    bool owes_answers() const { return !dialled_ && answers_ < frames_ && !write_fault_; }
    // The owner is told at once that the peer has disconnected. A peer that closed the connection completely looks the
    // same as one that closed only its sending side, until something is written; and the request of an operator who has
    // disconnected must not be executed any more. Answers that are sent within `longest_half_close` are still written.
    void await_answers() {
        half_closed_ = true;
        owner_->half_closed(*this, "closed by the peer");
        linger_.emplace(socket_.get_executor());
        linger_->expires_after(longest_half_close);
        linger_->async_wait([self = shared_from_this()](std::error_code fault) {
            if (!fault) self->end("closed by the peer");
        });
    }

    // Delivers complete frames. Frames that were read and may not be delivered yet stay in the decoder.
    void deliver() {
        bool may = owner_->may_deliver(*this), more = true;
        while (may && more) {
            const auto payload = decoder_.next();
            more = payload.has_value();
            if (!more) break;
            ++frames_;
            may = owner_->deliver(*this, *payload);
        }
        keep_rest(more);
        if (decoder_.pending() > 0 && !attended_) attend();
        const auto owner = owner_;  // a turn that begins within `delivered` may close this connection
        if (decoder_.failed())
            say_goodbye();
        else if (!more)
            await_bytes();
        else
            room_ = std::max(room_ / 4, smallest_room);  // more arrived than may be delivered: read less at once
        owner->delivered();
    }

    void attend() {
        attended_ = true;
        owner_->attend(*this);
    }
    // Returns the shared buffer; bytes that are left in the decoder move to memory of their own. They count as a half
    // frame (`max_receive_bytes`), unless they are complete frames that wait to be delivered (`undelivered`).
    void keep_rest(bool undelivered) {
        auto& memory = owner_->memory();
        decoder_.give_back(memory.shared, memory.rooms);
        if (decoder_.pending() > 0 && std::exchange(half_of_, frames_ + 1) != frames_ + 1) half_ = ++memory.halves;
        count_memory(undelivered ? 0 : decoder_.capacity());
    }
    void forget_input() {
        decoder_ = wire::FrameDecoder{0};
        if (owner_) count_memory(0);
    }
    void count_memory(std::size_t bytes) {
        auto& held = owner_->memory().held;
        held = held - std::exchange(counted_, bytes) + bytes;
    }

    std::string why_ended(std::error_code fault) const {
        if (write_fault_) return write_fault_.message();
        if (fault != asio::error::eof) return fault.message();
        return decoder_.pending() > 0 ? "closed by the peer in the middle of a frame" : "closed by the peer";
    }

    void await_room() {
        awaits_room_ = true;
        if (!dialled_ && owner_) owner_->awaits_room(*this);
        socket_.async_wait(Socket::wait_write, [self = shared_from_this()](std::error_code fault) {
            self->awaits_room_ = false;
            if (!fault) self->flush();
        });
    }

    // A write failed. The connection is not ended here: bytes that the peer sent before are still to be read, and
    // reading finds the end of the stream. A connection that is not being read is ended at once.
    void stop_writing(std::error_code fault) {
        out_.clear(owner_->memory().blocks);
        write_fault_ = fault;
        note_backlog();
        if ((paused_ || half_closed_) && state_ == State::open) end(fault.message());
    }

    // Sends the error and lingers. Closing a socket with unread bytes in the kernel resets the connection, and the peer
    // would lose the error before it has read it. So the connection reads and discards bytes, for `longest_linger` at
    // most, until the peer closes.
    void say_goodbye() {
        state_ = State::lingering;
        out_.append_frame(wire::connection_error(decoder_.code(), decoder_.what()), owner_->memory().blocks);
        linger_.emplace(socket_.get_executor());
        linger_->expires_after(longest_linger);
        linger_->async_wait([self = shared_from_this()](std::error_code fault) {
            if (!fault) self->release();
        });
        owner_->broken(*this, decoder_.code(), decoder_.what());
        forget_input();
        flush();
        await_bytes();
    }

    void discard() {
        auto& room = owner_->memory().shared;
        std::error_code fault;
        socket_.read_some(asio::buffer(room.memory.get(), room.size), fault);
        if (fault && !is_temporary(fault)) return release();
        await_bytes();
    }

    void release() {
        const auto owner = owner_;
        close();
        if (owner) owner->released(*this);
    }

    std::shared_ptr<ConnectionOwner> owner_;
    Peer peer_;
    bool dialled_;
    Socket socket_;
    wire::FrameDecoder decoder_;
    SendBuffer out_;
    std::size_t max_send_queue_;
    std::size_t full_send_queue_;
    ReceiveQueue::Source source_;
    std::size_t room_ = smallest_room;
    std::error_code write_fault_;
    std::optional<asio::steady_timer> linger_;
    State state_ = State::dialling;
    std::uint64_t frames_ = 0;         // frames received
    std::uint64_t malformed_ = 0;      // of these, the ones that were not messages
    std::uint64_t answers_ = 0;        // frames appended to send; on an accepted connection mostly answers
    std::size_t counted_ = 0;          // bytes of half-frame memory that are counted in `ConnectionMemory::held`
    std::uint64_t half_ = 0;           // see `half_frame_number`
    std::uint64_t half_of_ = 0;        // the number of the frame (from 1) to which `half_` belongs
    std::size_t marked_ = 0;           // bytes pending when the half frame last made progress
    std::uint64_t marked_frames_ = 0;  // `frames_` at that time
    unsigned without_progress_ = 0;    // ticks since then in which the connection was read
    bool attended_ = false;
    bool sent_lately_ = false;         // since the last tick
    bool paused_ = false;
    bool full_ = false;                // the send queue; see `note_backlog`
    int idle_checks_ = 0;              // calls of `check_progress` since bytes were last taken
    std::size_t untaken_ = 0;          // as the last `check_progress` saw it
    bool stalled_ = false;
    bool awaits_bytes_ = false;
    bool awaits_room_ = false;
    bool flush_due_ = false;
    bool half_closed_ = false;
};

}  // namespace understudy::net
