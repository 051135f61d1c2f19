// One connection: frames in, frames out, and an orderly end. Reading waits for the socket to be ready, takes all there
// is and holds no buffer meanwhile worth speaking of; writing appends to a buffer that is offered to the kernel once
// per turn, and waits only when the kernel has no room.
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
#include <understudy/net/doorbell.hpp>
#include <understudy/options.hpp>
#include <understudy/view.hpp>
#include <understudy/wire/frame.hpp>

namespace understudy::net {

class Connection;

/// What all connections of a transport read into, and what halves of frames they keep besides.
struct ReceiveMemory {
    wire::FrameRoom shared;
    std::size_t held = 0;      ///< Bytes of memory of half-received frames.
    std::uint64_t halves = 0;  ///< How many there have been.
};

/// Whom a connection tells what happens. Nothing here calls back into the connection.
class ConnectionOwner {
public:
    /// Whether more may be delivered now; if not, the owner calls `resume_reading` later.
    virtual bool may_deliver(Connection& connection) = 0;
    /// Whether what the connection has delivered waits until it is read again.
    virtual void bar(Connection& connection, bool on) = 0;
    /// There is something to write: the owner calls `flush` when the turn is over.
    virtual void flush_later(Connection& connection) = 0;
    /// Says, as `may_deliver`, whether another one may follow.
    virtual bool deliver(Connection& connection, std::string_view payload) = 0;
    /// Much waits for the peer to take it, or no longer.
    virtual void backlog(Connection& connection, bool full) = 0;
    /// What was written was not all taken: the owner calls `check_progress` each half `write_timeout`.
    virtual void awaits_room(Connection& connection) = 0;
    /// The peer will send nothing more, and may still read what it asked for. `ended` follows.
    virtual void half_closed(Connection& connection, std::string why) = 0;
    /// All that a read gave was delivered.
    virtual void delivered() = 0;
    /// The peer broke the framing. The connection says goodbye by itself and calls `released` when it is closed.
    virtual void broken(Connection& connection, error code, std::string what) = 0;
    /// The connection is closed.
    virtual void ended(Connection& connection, std::string why) = 0;
    virtual void released(Connection& connection) = 0;
    /// The connection exceeded a limit; `ended` follows.
    virtual void exceeded(Connection& connection, error code, std::string what) = 0;
    virtual ReceiveMemory& receive_memory() = 0;
    /// The connection holds memory, or half a frame: the owner calls `tick` from now on, until that says no.
    virtual void attend(Connection& connection) = 0;

protected:
    ~ConnectionOwner() = default;
};

/// What was appended and not yet taken by the kernel.
class SendBuffer {
public:
    void append_frame(std::string_view payload) { wire::append_frame(bytes_, payload); }
    bool empty() const { return sent_ == bytes_.size(); }
    std::size_t size() const { return bytes_.size() - sent_; }
    asio::const_buffer data() const { return asio::buffer(bytes_.data() + sent_, size()); }

    void consume(std::size_t count) {
        sent_ += count;
        if (empty()) return clear();
        if (sent_ < bytes_.size() / 2) return;  // so that each byte is moved at most once
        bytes_.erase(0, sent_);
        sent_ = 0;
    }
    void clear() {
        if (bytes_.capacity() > kept_when_empty) release();
        bytes_.clear();
        sent_ = 0;
    }
    /// Bytes of memory; what a string holds in itself does not count.
    std::size_t memory() const { return bytes_.capacity() > sizeof bytes_ ? bytes_.capacity() : 0; }
    /// Gives the memory back, with what is in it.
    void release() {
        std::string{}.swap(bytes_);
        sent_ = 0;
    }

private:
    static constexpr std::size_t kept_when_empty = 256u << 10;
    std::string bytes_;
    std::size_t sent_ = 0;
};

/// Begins without a socket: what is sent before `open` waits for it.
class Connection : public std::enable_shared_from_this<Connection> {
public:
    static constexpr std::size_t largest_room = 256u << 10;  ///< Of one read.

    Connection(const asio::any_io_executor& executor, std::shared_ptr<ConnectionOwner> owner, Address peer,
               bool dialled, const TransportOptions& options)
        : owner_{std::move(owner)},
          peer_{std::move(peer)},
          dialled_{dialled},
          socket_{executor},
          decoder_{options.max_frame},
          max_send_queue_{options.max_send_queue},
          full_send_queue_{std::min(options.full_send_queue, options.max_send_queue)},
          source_{std::make_shared<Doorbell::Queue::Source>(dialled)} {}

    const Address& peer() const { return peer_; }
    bool dialled() const { return dialled_; }
    /// Whether the peer has sent a whole frame.
    bool heard() const { return frames_ > 0; }
    /// Whether its owner knows already that it is gone.
    bool half_closed() const { return half_closed_; }
    /// Whether one of its frames was a message, as far as that is known.
    bool said_something() const { return frames_ > malformed_; }
    /// One of its frames was none.
    void malformed() { ++malformed_; }
    /// Whether a frame has begun and is not whole.
    bool amid_frame() const { return decoder_.pending() > 0; }
    /// Bytes of memory that hold half a frame.
    std::size_t half_frame() const { return counted_; }
    /// Bytes of memory, of half a frame and of what waits to be sent.
    std::size_t memory() const { return decoder_.capacity() + out_.memory(); }
    /// The number of that half frame among those of all connections, in the order in which they began.
    std::uint64_t half_frame_number() const { return half_; }
    /// Its owner's note that it waits for its deliveries to be served; true if that is new.
    bool note_stalled(bool on) { return std::exchange(stalled_, on) != on; }
    /// Its place in the queue of what has arrived.
    const Doorbell::Source& source() const { return source_; }

    void open(Socket socket) {
        socket_ = std::move(socket);
        state_ = State::open;
        flush();
        resume_reading();
    }

    /// Appends a frame. One that finds no room ends the connection, or is dropped if there is none yet.
    void send(std::string_view payload) {
        if (state_ > State::open || write_fault_) return;
        const auto has_room = [&] { return out_.size() + payload.size() <= max_send_queue_; };
        if (!has_room()) flush();
        if (!has_room()) {
            if (state_ != State::open) return;
            end("the peer reads too slowly: " + std::to_string(out_.size()) + " bytes wait for it");
            return;
        }
        out_.append_frame(payload);
        ++answers_;
        if (awaits_room_) note_backlog();
        sent_lately_ = true;
        if (!attended_) attend();
        if (state_ == State::open && !flush_due_ && !awaits_room_) {
            flush_due_ = true;
            owner_->flush_later(*this);
        }
    }

    /// Offers the kernel what there is.
    void flush() {
        flush_due_ = false;
        if (awaits_room_ || out_.empty() || !socket_.is_open()) return;
        std::error_code fault;
        idle_checks_ = 0;
        out_.consume(socket_.write_some(out_.data(), fault));
        if (fault && !is_temporary(fault)) return stop_writing(fault);
        note_backlog();
        if (!out_.empty()) return await_room();
        if (state_ == State::lingering) socket_.shutdown(Socket::shutdown_send, fault);
        if (half_closed_ && !owes_answers()) end("closed by the peer");
    }

    /// Whether it still waits for its peer to take something. One that took nothing from one check to the next but
    /// one, as far as the kernel tells, has ended.
    bool check_progress() {
        if (!awaits_room_ || state_ != State::open) return false;
        const auto untaken = untaken_by_peer(socket_.native_handle());
        if (untaken != untaken_) idle_checks_ = 0;
        untaken_ = untaken;
        if (++idle_checks_ <= 2) return true;
        end("the peer takes nothing: " + std::to_string(out_.size()) + " bytes wait for it");
        return false;
    }

    void pause() {
        paused_ = true;
        if (owner_) owner_->bar(*this, true);
        if (write_fault_ && state_ == State::open) end(write_fault_.message());
    }
    void resume() {
        paused_ = false;
        read_on();
    }

    /// Goes on after `may_deliver` said no. However often it is called, one wait is under way.
    void resume_reading() {
        if (state_ != State::open || is_held() || awaits_bytes_ || half_closed_) return;
        if (decoder_.pending() == 0) return await_bytes();
        awaits_bytes_ = true;
        asio::post(socket_.get_executor(), [self = shared_from_this()] {
            self->awaits_bytes_ = false;
            if (self->state_ == State::open && !self->is_held()) self->deliver();
        });
    }

    /// What an owner calls at equal intervals while it attends to this. A half frame has to be whole, or to have grown
    /// by `least_progress`, within `patience` of them in which it was read; else the connection ends. The memory of
    /// one that was idle for an interval is given back. False: there is nothing to attend to any more.
    bool tick(unsigned patience) {
        if (state_ == State::closed) return attended_ = false;
        if (!std::exchange(sent_lately_, false) && out_.empty()) out_.release();
        const auto pending = decoder_.pending();
        if (pending == 0 || frames_ != marked_frames_ || pending >= marked_ + least_progress) {
            marked_ = pending;
            marked_frames_ = frames_;
            without_progress_ = 0;
        } else if (state_ == State::open && awaits_bytes_ && !is_held() && ++without_progress_ > patience) {
            attended_ = false;
            cut_off(error::parse_error, "a frame was begun and does not go on");
            return false;
        }
        return attended_ = pending > 0 || out_.memory() > 0;
    }

    /// Closes without telling anybody.
    void close() {
        state_ = State::closed;
        forget_input();
        out_.release();
        std::error_code ignored;
        socket_.close(ignored);
        if (linger_) linger_->cancel();
        owner_.reset();
    }

    /// Closes and tells the owner why.
    void end(std::string why) {
        const auto owner = owner_;
        close();
        if (owner) owner->ended(*this, std::move(why));
    }

    /// The same, for a limit that it exceeded.
    void cut_off(error code, std::string why) {
        if (const auto owner = owner_) owner->exceeded(*this, code, why);
        end(std::move(why));
    }

private:
    enum class State { dialling, open, lingering, closed };

    // The room for one read grows while reads fill it; a connection that carries little holds little.
    static constexpr std::size_t smallest_room = 4u << 10;
    static constexpr std::size_t least_progress = 1u << 10;
    static constexpr auto longest_linger = std::chrono::seconds{2};
    static constexpr auto longest_half_close = std::chrono::seconds{10};

    static bool is_temporary(std::error_code fault) {
        return fault == asio::error::would_block || fault == asio::error::try_again ||
               fault == asio::error::interrupted;
    }

    // A wait, not a read: a read would have to own a buffer while nothing comes, thousands of times over.
    void await_bytes() {
        awaits_bytes_ = true;
        socket_.async_wait(Socket::wait_read, [self = shared_from_this()](std::error_code fault) {
            self->awaits_bytes_ = false;
            if (fault) return;  // closed
            if (self->state_ == State::lingering) return self->discard();
            if (self->state_ == State::open) self->read();
        });
    }

    /// Whether it is not read: since its owner says so, or since its peer does not take what it is sent. A dialled
    /// connection is read all the same: two that each waited for the other to read would wait for ever.
    bool is_held() const { return paused_ || full_; }
    void read_on() {
        if (is_held() || !owner_) return;
        owner_->bar(*this, false);
        resume_reading();
    }

    void note_backlog() {
        const bool full = full_ ? out_.size() > full_send_queue_ / 2 : out_.size() >= full_send_queue_;
        if (dialled_ || half_closed_ || full == full_ || !owner_) return;
        full_ = full;
        owner_->backlog(*this, full);
        if (full_) owner_->bar(*this, true);
        else read_on();
    }

    void read() {
        if (is_held() || !owner_->may_deliver(*this)) return;
        decoder_.borrow(owner_->receive_memory().shared);
        const auto room = decoder_.prepare(decoder_.appetite(room_));
        std::error_code fault;
        const auto count = socket_.read_some(asio::buffer(room.data(), room.size()), fault);
        decoder_.commit(count);
        if (fault && !is_temporary(fault)) {
            keep_rest(false);
            if (fault == asio::error::eof && decoder_.pending() == 0 && owes_answers()) return await_answers();
            return end(why_ended(fault));
        }
        if (count == room_) room_ = std::min(room_ * 4, largest_room);
        deliver();
    }

    /// Whether requests of an accepted connection wait for their answers.
    bool owes_answers() const { return !dialled_ && answers_ < frames_ && !write_fault_; }
    // Its owner hears at once that it is gone: one that has closed the connection whole looks the same until something
    // is written, and an operator who goes must not be obeyed any more. What is answered all the same is still written.
    void await_answers() {
        half_closed_ = true;
        owner_->half_closed(*this, "closed by the peer");
        linger_.emplace(socket_.get_executor());
        linger_->expires_after(longest_half_close);
        linger_->async_wait([self = shared_from_this()](std::error_code fault) {
            if (!fault) self->end("closed by the peer");
        });
    }

    // What was read but may not be delivered yet stays in the decoder.
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
        const auto owner = owner_;  // a turn that begins now may close this connection
        if (decoder_.failed())
            say_goodbye();
        else if (!more)
            await_bytes();
        else
            room_ = std::max(room_ / 4, smallest_room);  // it brings more than can be handled
        owner->delivered();
    }

    void attend() {
        attended_ = true;
        owner_->attend(*this);
    }
    // The rest of what was read needs memory of its own. It counts as half a frame unless it waits to be delivered.
    void keep_rest(bool undelivered) {
        auto& memory = owner_->receive_memory();
        decoder_.give_back(memory.shared);
        if (decoder_.pending() > 0 && std::exchange(half_of_, frames_ + 1) != frames_ + 1) half_ = ++memory.halves;
        count_memory(undelivered ? 0 : decoder_.capacity());
    }
    void forget_input() {
        decoder_ = wire::FrameDecoder{0};
        if (owner_) count_memory(0);
    }
    void count_memory(std::size_t bytes) {
        auto& held = owner_->receive_memory().held;
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

    // What the peer sent before it went is still to be read, and there reading finds the end.
    void stop_writing(std::error_code fault) {
        out_.clear();
        write_fault_ = fault;
        note_backlog();
        if ((paused_ || half_closed_) && state_ == State::open) end(fault.message());
    }

    // Closing with unread bytes in the kernel would reset the connection and take the error away from the peer before
    // it has read it. So what still comes is read and forgotten, for a while.
    void say_goodbye() {
        state_ = State::lingering;
        out_.append_frame(wire::connection_error(decoder_.code(), decoder_.what()));
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
        auto& room = owner_->receive_memory().shared;
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
    Address peer_;
    bool dialled_;
    Socket socket_;
    wire::FrameDecoder decoder_;
    SendBuffer out_;
    std::size_t max_send_queue_;
    std::size_t full_send_queue_;
    Doorbell::Source source_;
    std::size_t room_ = smallest_room;
    std::error_code write_fault_;
    std::optional<asio::steady_timer> linger_;
    State state_ = State::dialling;
    std::uint64_t frames_ = 0;         // that came
    std::uint64_t malformed_ = 0;      // of them
    std::uint64_t answers_ = 0;        // frames that went out; of an accepted connection mostly that
    std::size_t counted_ = 0;          // bytes of memory of half a frame, as the owner knows
    std::uint64_t half_ = 0;           // see `half_frame_number`,
    std::uint64_t half_of_ = 0;        // and the number of the frame that it is half of
    std::size_t marked_ = 0;           // how much of a frame there was when it last made progress,
    std::uint64_t marked_frames_ = 0;  // and of which
    unsigned without_progress_ = 0;    // ticks since then
    bool attended_ = false;
    bool sent_lately_ = false;
    bool paused_ = false;
    bool full_ = false;
    int idle_checks_ = 0;
    std::size_t untaken_ = 0;
    bool stalled_ = false;
    bool awaits_bytes_ = false;
    bool awaits_room_ = false;
    bool flush_due_ = false;
    bool half_closed_ = false;
};

}  // namespace understudy::net
