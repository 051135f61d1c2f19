// What a connection needs of the object that manages all connections of a transport.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <understudy/error.hpp>
#include <understudy/net/send_buffer.hpp>
#include <understudy/wire/frame.hpp>

namespace understudy::net {

class Connection;

/// The memory that all connections of one transport share: the read buffer, counters of the memory that half-received
/// frames hold in addition, and buffers of large frames, to be used again.
struct ConnectionMemory {
    wire::FrameRoom shared;
    std::size_t held = 0;      ///< Bytes of memory of half-received frames.
    std::uint64_t halves = 0;  ///< How many half-received frames there have been so far.
    wire::SpareRooms rooms{};  ///< Of frames that were received.
    SpareBlocks blocks{};      ///< Of frames that were sent.

    /// Frees what was not needed since the last call.
    void age() {
        rooms.age();
        blocks.age();
    }
    /// Bytes of memory that nobody uses at present.
    std::size_t spare() const { return rooms.bytes() + blocks.bytes(); }
};

/// The interface through which a connection reports to its connection manager. An implementation must not call back
/// into the connection from within one of these functions, except from `delivered`.
class ConnectionOwner {
public:
    /// Whether the connection may deliver more frames now. If not, the owner calls `resume_reading` later.
    virtual bool may_deliver(Connection& connection) = 0;
    /// Holds back the delivered frames of this connection (`on`) until reading is resumed (`!on`).
    virtual void bar(Connection& connection, bool on) = 0;
    /// The send buffer has bytes to write. The owner calls `flush` at the end of the turn.
    virtual void flush_later(Connection& connection) = 0;
    /// Delivers one frame. Returns, as `may_deliver` does, whether another one may follow.
    virtual bool deliver(Connection& connection, std::string_view payload) = 0;
    /// The send queue of an accepted connection has become full (`full_send_queue`), or has drained to half of that.
    virtual void backlog(Connection& connection, bool full) = 0;
    /// The kernel did not take everything. The owner calls `check_progress` at intervals of half `write_timeout`.
    virtual void awaits_room(Connection& connection) = 0;
    /// The peer has shut down its sending side, and may still read the answers to its requests. `ended` follows.
    virtual void half_closed(Connection& connection, std::string why) = 0;
    /// The frames of one read have been delivered, as far as `may_deliver` allowed. This may end or close connections,
    /// also the one that calls.
    virtual void delivered() = 0;
    /// The peer violated the framing. The connection sends the peer an error and calls `released` when it is closed.
    virtual void broken(Connection& connection, error code, std::string what) = 0;
    /// The connection is closed.
    virtual void ended(Connection& connection, std::string why) = 0;
    /// A connection that was reported by `broken` is closed.
    virtual void released(Connection& connection) = 0;
    /// The connection exceeded a limit; `ended` follows.
    virtual void exceeded(Connection& connection, error code, std::string what) = 0;
    virtual ConnectionMemory& memory() = 0;
    /// The connection holds memory or half a frame. The owner calls `tick` at intervals until it returns false.
    virtual void attend(Connection& connection) = 0;

protected:
    ~ConnectionOwner() = default;
};

}  // namespace understudy::net
