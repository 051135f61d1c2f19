// What the services have in common: checked options, tokens of chance, and one `async_run` at a time.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <asio/co_spawn.hpp>
#include <asio/error.hpp>

#include <understudy/detail/initiate.hpp>
#include <understudy/detail/loop.hpp>
#include <understudy/error.hpp>
#include <understudy/options.hpp>

namespace understudy::detail {

/// Throws `std::system_error` with `error::invalid_options` if there is something wrong.
inline void require_valid(const std::string& wrong) {
    if (!wrong.empty()) throw std::system_error{make_error_code(error::invalid_options), wrong};
}

/// Throws the same if the largest message of a replica, with a view and JSON around what it carries, does not fit a
/// frame of its transport: it would be logged and then reach no backup. Only of a transport that says `max_frame()`.
template <Transport T>
void require_room(const T& transport, const ReplicaOptions& options) {
    if constexpr (requires {
                      { transport.max_frame() } -> std::convertible_to<std::size_t>;
                  }) {
        constexpr std::size_t around = 64u << 10;
        const auto require = [limit = transport.max_frame()](const char* option, std::size_t bytes, double growth) {
            if (static_cast<double>(bytes) * growth + around <= static_cast<double>(limit)) return;
            require_valid(std::string{option} + " is " + std::to_string(bytes) +
                          ": with what goes around it that does not fit the transport's max_frame, " +
                          std::to_string(limit) + " bytes");
        };
        require("max_command", options.max_command, 1);
        require("append_bytes", options.append_bytes, 2);  // small commands have as much around them
        require("chunk_bytes", options.chunk_bytes, 1.5);  // base64
    }
}

/// A journal is that of one server: under another name nobody would know whose state it is. Throws
/// `std::system_error` with `error::wrong_journal`: the options are right by themselves.
inline void require_own(const HardState& standing, const Address& name, const std::string& group) {
    if (standing.name.empty()) return;
    const auto require = [](const char* what, const std::string& theirs, const std::string& ours) {
        if (theirs == ours) return;
        throw std::system_error{make_error_code(error::wrong_journal),
                                std::string{"the journal is that of a server "} + what + " " + theirs +
                                    ", this one is " + what + " " + ours +
                                    ": start it as that, or with an empty journal to join as a new server"};
    };
    require("named", standing.name, name);
    require("of group", standing.info.group, group);
}

/// A party that others dial has an address.
inline void require_listening(const Address& name) {
    require_valid(name.empty() ? "a server must listen: its transport has no address" : "");
}
/// Addresses that are to be dialled, if the transport can tell which of them it never could.
template <Transport T>
void require_dialable(const T& transport, const std::vector<Address>& addresses) {
    if constexpr (requires(const Address& one) {
                      { transport.objection(one) } -> std::same_as<std::string>;
                  })
        for (const auto& address : addresses) require_valid(transport.objection(address));
}

/// A random token; 0 means none, so it is never that.
template <Transport T>
std::uint64_t draw_token(T& transport) {
    for (;;)
        if (auto token = transport.random(); token != 0) return token;
}

inline asio::awaitable<void> fail(std::error_code ec) {
    throw std::system_error{ec};
    co_return;
}

/// Makes the coroutine of an `async_run`, when that is initiated.
template <typename P>
struct MakeRun {
    std::shared_ptr<P> party;

    asio::awaitable<void> operator()() const {
        if (party->running) return fail(asio::error::already_started);
        if (party->stopped()) return fail(error::closed);
        return run(Running<P>{party});
    }
};

template <typename P, typename Token>
auto async_run(const std::shared_ptr<P>& party, Token&& token) {
    return async_spawn(party->executor(), MakeRun<P>{party}, std::forward<Token>(token));
}

/// Starts the loop of a client, unless it is under way. A transport that fails ends it and with it the calls; the next
/// call starts it again.
template <typename P>
void run_in_background(std::shared_ptr<P> party) {
    struct Ended {
        void operator()(std::exception_ptr thrown) const {
            try {
                if (thrown) std::rethrow_exception(thrown);
            } catch (const std::system_error&) {
            }
        }
    };
    if (!party->running) asio::co_spawn(party->executor(), run(Running<P>{party}), Ended{});
}

template <typename P>
void abandon(P& party) {
    if constexpr (requires { party.abandoned(); })
        party.abandoned();
    else
        party.stop();
}

/// Owns a party and stops it in the end: the loop, which owns it too, then ends by itself.
template <typename P>
class Handle {
public:
    explicit Handle(std::shared_ptr<P> party) : party_{std::move(party)} {}
    Handle(Handle&&) noexcept = default;
    Handle& operator=(Handle&& other) noexcept {
        auto old = std::exchange(party_, std::move(other.party_));
        if (old && old != party_) abandon(*old);
        return *this;
    }
    ~Handle() {
        if (party_) abandon(*party_);
    }
    P* operator->() const { return party_.get(); }
    const std::shared_ptr<P>& share() const { return party_; }

private:
    std::shared_ptr<P> party_;
};

}  // namespace understudy::detail
