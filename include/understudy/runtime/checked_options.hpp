// Checks of options that need a transport or a journal, and random tokens. Common to all services and clients.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>
#include <vector>

#include <understudy/error.hpp>
#include <understudy/options.hpp>
#include <understudy/protocol/journal_batch.hpp>
#include <understudy/runtime/erased_transport.hpp>

namespace understudy::detail {

/// Throws `std::system_error` with `error::invalid_options` unless `wrong` is empty.
inline void require_valid(const std::string& wrong) {
    if (!wrong.empty()) throw std::system_error{make_error_code(error::invalid_options), wrong};
}

/// Throws the same if the largest message of a replica does not fit a frame of its transport, with the view and the
/// JSON around its content. Such a command would be logged but could never reach a backup. Checked only for transports
/// that have `max_frame()`.
inline void require_room(const TransportBase& transport, const ReplicaOptions& options) {
    const auto limit = transport.max_frame();
    if (!limit) return;
    constexpr std::size_t around = 64u << 10;
    const auto require = [limit = *limit](const char* option, std::size_t bytes, double growth) {
        if (static_cast<double>(bytes) * growth + around <= static_cast<double>(limit)) return;
        require_valid(std::string{option} + " is " + std::to_string(bytes) +
                      ": with what goes around it that does not fit the transport's max_frame, " +
                      std::to_string(limit) + " bytes");
    };
    require("max_command", options.max_command, 1);
    require("append_bytes", options.append_bytes, 2);  // small commands have as much JSON around them
    require("chunk_bytes", options.chunk_bytes, 1.5);  // base64
}

/// Throws `std::system_error` with `error::wrong_journal` if the journal was written by a server of another name or
/// group: under another name its state would be attributed to the wrong server. This is not `error::invalid_options`,
/// since the options themselves are valid.
inline void require_own(const HardState& hard_state, const Address& name, const std::string& group) {
    if (hard_state.name.empty()) return;
    const auto require = [](const char* what, const std::string& theirs, const std::string& ours) {
        if (theirs == ours) return;
        throw std::system_error{make_error_code(error::wrong_journal),
                                std::string{"the journal is that of a server "} + what + " " + theirs +
                                    ", this one is " + what + " " + ours +
                                    ": start it as that, or with an empty journal to join as a new server"};
    };
    require("named", hard_state.name, name);
    require("of group", hard_state.info.group, group);
}

/// A server or view service must have an address, because others dial it.
inline void require_listening(const Address& name) {
    require_valid(name.empty() ? "a server must listen: its transport has no address" : "");
}
/// Checks the addresses that are to be dialled, as far as the transport can tell which ones it can never dial.
inline void require_dialable(const TransportBase& transport, const std::vector<Address>& addresses) {
    for (const auto& address : addresses) require_valid(transport.objection(address));
}

/// A random token. Never 0, which means none.
inline std::uint64_t draw_token(TransportBase& transport) {
    for (;;)
        if (auto token = transport.random(); token != 0) return token;
}

}  // namespace understudy::detail
