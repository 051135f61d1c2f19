// The JSON texts that operators' tools print, in the form that docs/protocol.md describes.
#pragma once

#include <string>
#include <string_view>

#include <understudy/status.hpp>
#include <understudy/wire/bytes.hpp>
#include <understudy/wire/messages.hpp>

namespace understudy {

/// The result of `view.status` (docs/protocol.md) as one line of JSON.
inline std::string json_text(const ViewStatusResult& status) {
    std::string text;
    wire::append_json(text, status);
    return text;
}
/// The result of `pb.status` (docs/protocol.md) as one line of JSON.
inline std::string json_text(const ReplicaStatusResult& status) {
    std::string text;
    wire::append_json(text, status);
    return text;
}
/// Arbitrary bytes as JSON: a string if they are valid UTF-8, otherwise `{"b64":"..."}`.
inline std::string json_text(std::string_view bytes) { return wire::encode_bytes(bytes); }

}  // namespace understudy
