// `Peer`: the other end of a connection.
#pragma once

#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include <understudy/base/intrusive_ptr.hpp>
#include <understudy/view.hpp>

namespace understudy {

/// Where a transport last sent to a peer, so that it need not look for the name again. A transport that finds its own
/// number in `transport` trusts `slot` and `generation`, whose meaning is its own affair. 0: nothing is known.
struct PeerRoute {
    std::uint64_t transport = 0;  ///< A number that no other transport of this process has.
    std::uint32_t slot = 0;
    std::uint32_t generation = 0;
};

/// The address of the other end of a connection, or its reply address. Copies share it: a message, the call that waits
/// for its answer and the answer all name the same peer, and a copy of the address for each would be a good part of
/// what an operation costs. Converts from and to an `Address`. Not thread-safe: all copies belong to one strand.
class Peer {
public:
    Peer() = default;
    template <std::convertible_to<std::string_view> Text>
    Peer(const Text& address) : record_{new Record{Address{std::string_view{address}}}} {}

    const Address& address() const {
        static const Address none;
        return record_ ? record_->address : none;
    }
    operator const Address&() const { return address(); }
    /// The hash of the address. O(1).
    std::size_t hash() const { return record_ ? record_->hash : std::hash<Address>{}({}); }
    /// For transports. There must be an address.
    PeerRoute& route() const { return record_->route; }

    friend bool operator==(const Peer& a, const Peer& b) {
        return a.record_.get() == b.record_.get() || (a.hash() == b.hash() && a.address() == b.address());
    }
    friend std::strong_ordering operator<=>(const Peer& a, const Peer& b) { return a.address() <=> b.address(); }
    template <std::convertible_to<std::string_view> Text>
    friend bool operator==(const Peer& a, const Text& address) {
        return a.address() == std::string_view{address};
    }

    struct Hash {
        std::size_t operator()(const Peer& peer) const { return peer.hash(); }
    };

private:
    struct Record {
        explicit Record(Address name) : address{std::move(name)} {}
        static void destroy(Record* record) { delete record; }

        Address address;
        std::size_t hash = std::hash<Address>{}(address);
        PeerRoute route;
        std::uint32_t owners = 0;
    };

    detail::IntrusivePtr<Record> record_;
};

}  // namespace understudy
