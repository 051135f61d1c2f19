// Messages to JSON-RPC 2.0 and back. Written by plain appends, read in one pass, never through a DOM.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>

#include <understudy/base/config.hpp>
#include <understudy/error.hpp>
#include <understudy/protocol/message.hpp>

namespace understudy::wire {

// ---- writing ---------------------------------------------------------------------------------------------

/// Appends the JSON-RPC message. A request or an answer needs an id (an error without one gets `null`); a
/// notification has none.
void encode_any(std::string& out, const CallId& id, const Message& message);
/// The same, and faster for the frequent messages.
void encode(std::string& out, const CallId& id, const Message& message);
inline void encode(std::string& out, const Envelope& envelope) { encode(out, envelope.id, envelope.message); }
std::string encode(const CallId& id, const Message& message);

// ---- reading ---------------------------------------------------------------------------------------------

struct Decoded {
    CallId id;  ///< Empty for a notification, and for an error that answers nothing in particular.
    Message message;
    friend bool operator==(const Decoded&, const Decoded&) = default;
};

/// Why a payload is no message.
struct DecodeError {
    CallId id;  ///< Empty if it could not be read.
    error code = error::parse_error;
    std::string text;
    std::string method;  ///< Empty if it could not be read.
    bool answer = true;  ///< Whether the peer is to be told; not so for what was an answer itself.
    friend bool operator==(const DecodeError&, const DecodeError&) = default;
};

/// What to tell the peer, under `error.id`, if `error.answer`.
inline Failure to_failure(const DecodeError& error) {
    return {.to = error.method, .code = error.code, .text = error.text, .view = {}, .held = {}, .install = {}};
}

/// Longer ids are refused, since a call that is under way keeps its id.
inline constexpr std::size_t max_id = 128;

/// Reads one payload. An answer's method is read from its id, which `make_call_id` made.
std::variant<Decoded, DecodeError> decode_any(std::string_view payload);
/// The same, and faster where the payload has the usual form of a frequent message.
std::variant<Decoded, DecodeError> decode(std::string_view payload);

}  // namespace understudy::wire

#if !defined(UNDERSTUDY_SEPARATE_COMPILATION)
#include <understudy/wire/json.ipp>
#endif
