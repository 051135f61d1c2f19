// The JSON texts of what tools print, as docs/protocol.md describes them.
#pragma once

#include <string>
#include <string_view>

#include <understudy/status.hpp>
#include <understudy/wire/bytes.hpp>
#include <understudy/wire/messages.hpp>

namespace understudy {

/// The result of `view.status` (docs/protocol.md) on one line.
inline std::string json_text(const ViewStatusResult& status) {
    std::string text;
    wire::write(wire::Writer{text}, status);
    return text;
}
/// The result of `pb.status` (docs/protocol.md) on one line.
inline std::string json_text(const ReplicaStatusResult& status) {
    std::string text;
    wire::write(wire::Writer{text}, status);
    return text;
}
/// Any bytes: a string if they are UTF-8, otherwise `{"b64":"..."}`.
inline std::string json_text(std::string_view bytes) { return wire::encode_bytes(bytes); }

}  // namespace understudy
