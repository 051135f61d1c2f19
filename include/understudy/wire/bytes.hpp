// Byte strings in JSON: a string if the bytes are UTF-8, otherwise {"b64":"..."}. JSON has no byte strings, and a JSON
// string cannot hold arbitrary bytes. Messages and stores both use this form.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <understudy/wire/base64.hpp>
#include <understudy/wire/scan.hpp>
#include <understudy/wire/text.hpp>

namespace understudy::wire {

/// Appends the JSON form of any bytes: a string if they are UTF-8.
inline void encode_bytes(std::string& out, std::string_view bytes) {
    if (append_string(out, bytes)) return;
    out += R"({"b64":")";
    append_base64(out, bytes);
    out += "\"}";
}

/// The same for long bytes, as chunks of snapshots: uses base64 also where escapes would make the string longer than
/// that. A control character takes six bytes as an escape.
inline void encode_bulk(std::string& out, std::string_view bytes) {
    const auto before = out.size();
    constexpr std::size_t around = 10;  // {"b64":""}
    encode_bytes(out, bytes);
    if (out.size() - before <= base64_size(bytes.size()) + around) return;
    out.resize(before);
    out += R"({"b64":")";
    append_base64(out, bytes);
    out += "\"}";
}

inline std::string encode_bytes(std::string_view bytes) {
    std::string out;
    encode_bytes(out, bytes);
    return out;
}

/// Reads a byte string from the scanner, in either form. Returns false if the next value is neither a string nor an
/// object whose only member is `b64` with strict base64, or if it is no JSON; only then the scanner has failed too.
inline bool scan_bytes(Scanner& scan, std::string& out) {
    if (scan.peek() != Kind::object) return scan.string(out);
    bool found = false;
    const bool good = scan.members([&](std::string_view name) {
        if (found || name != "b64" || !scan.string(out)) return false;
        found = true;
        return true;
    });
    auto bytes = good && found ? decode_base64(out) : std::nullopt;
    if (!bytes) return false;
    out = std::move(*bytes);
    return true;
}

/// The bytes that a whole JSON text stands for; nothing if it is no byte string.
inline std::optional<std::string> decode_bytes(std::string_view text) {
    Scanner scan{text};
    std::string bytes;
    if (!scan_bytes(scan, bytes) || !scan.end()) return std::nullopt;
    return bytes;
}

}  // namespace understudy::wire
