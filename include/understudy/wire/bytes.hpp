// Byte strings in JSON: a string if the bytes are UTF-8, otherwise {"b64":"..."}. For messages and for stores.
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

/// Appends the JSON form of any bytes.
inline void encode_bytes(std::string& out, std::string_view bytes) {
    if (append_string(out, bytes)) return;
    out += R"({"b64":")";
    append_base64(out, bytes);
    out += "\"}";
}

/// The same for what is long: as base64 too, where escapes would make the string longer than that.
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

/// Takes a byte string from the scanner. False if it is neither a string nor an object with the one member `b64`.
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

/// The bytes that a JSON text stands for; nothing if it stands for none.
inline std::optional<std::string> decode_bytes(std::string_view text) {
    Scanner scan{text};
    std::string bytes;
    if (!scan_bytes(scan, bytes) || !scan.end()) return std::nullopt;
    return bytes;
}

}  // namespace understudy::wire
