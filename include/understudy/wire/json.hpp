// Messages to JSON-RPC 2.0 and back. Messages are written by appending text and read in one pass without a DOM, since
// this is the hot path of every server.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>

#include <understudy/base/config.hpp>
#include <understudy/error.hpp>
#include <understudy/protocol/message.hpp>
#include <understudy/protocol/message_view.hpp>

namespace understudy::wire {

// ---- writing ---------------------------------------------------------------------------------------------

/// Appends the JSON-RPC message. A request or an answer needs an id; an error without an id gets `null`. A notification
/// has none.
void encode(std::string& out, const CallId& id, const Message& message);
inline void encode(std::string& out, const Envelope& envelope) { encode(out, envelope.id, envelope.message); }
std::string encode(const CallId& id, const Message& message);

// ---- reading ---------------------------------------------------------------------------------------------

/// A payload that is a message.
struct Decoded {
    CallId id;  ///< Empty for a notification, and for an error that answers no request (id `null`).
    Message message;
    friend bool operator==(const Decoded&, const Decoded&) = default;
};

/// Why a payload is no message.
struct DecodeError {
    CallId id;  ///< Empty if it could not be read, and always for text that is no JSON.
    error code = error::parse_error;
    std::string text;    ///< What was expected and found, and where, as human-readable text.
    std::string method;  ///< The method of the request, or that the answer's id names; empty if it could not be read.
    /// True if the peer gets an error. An answer and a notification of an unknown method are never answered.
    bool answer = true;
    friend bool operator==(const DecodeError&, const DecodeError&) = default;
};

/// The error to send to the peer with the id `error.id`, if `error.answer` is true.
inline Failure to_failure(const DecodeError& error) {
    return {.to = error.method, .code = error.code, .text = error.text, .view = {}, .held = {}, .install = {}};
}

/// The longest id, in bytes of its JSON text. Longer ids are refused, since a server retains the id of each call that
/// is under way.
inline constexpr std::size_t max_id = 128;

/// Reads one payload with the general decoder. An answer does not name its method; it is taken from the id, which
/// `make_call_id` made.
std::variant<Decoded, DecodeError> decode_any(std::string_view payload);
/// The same result, read faster if the payload is a frequent message as `encode` writes it (fast_decoder.hpp).
std::variant<Decoded, DecodeError> decode(std::string_view payload);

/// Reads a message of every call (`MessageView`), as `encode` writes it, without a copy: its texts lie in the payload.
/// False for any other payload; then `id` and `message` have unspecified values. A `message` that is used again keeps
/// its memory.
bool decode_view(std::string_view payload, CallId& id, MessageView& message);

}  // namespace understudy::wire

#if !defined(UNDERSTUDY_SEPARATE_COMPILATION)
#include <understudy/wire/json.ipp>
#endif
