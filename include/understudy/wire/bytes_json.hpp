// Byte strings (wire/bytes.hpp) for stores that use nlohmann::json values. It is a header of its own because
// <nlohmann/json.hpp> takes long to compile and the rest of the library does not need it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include <understudy/wire/base64.hpp>
#include <understudy/wire/utf8.hpp>

namespace understudy::wire {

/// True if the bytes are well-formed UTF-8.
inline bool is_utf8(std::string_view bytes) {
    const char* const end = bytes.data() + bytes.size();
    for (const char* at = bytes.data(); at != end;) {
        const auto length = utf8_length(at, end);
        if (length == 0) return false;
        at += length;
    }
    return true;
}

/// A JSON string if the bytes are UTF-8, otherwise {"b64":"..."}.
inline nlohmann::json bytes_to_json(std::string_view bytes) {
    if (is_utf8(bytes)) return nlohmann::json(std::string{bytes});
    std::string text;
    append_base64(text, bytes);
    auto value = nlohmann::json::object();
    value["b64"] = std::move(text);
    return value;
}

/// The inverse. Nothing if the value is neither a string nor an object whose only member is `b64` with strict base64.
inline std::optional<std::string> bytes_from_json(const nlohmann::json& value) {
    if (value.is_string()) return value.get<std::string>();
    const auto found = value.is_object() && value.size() == 1 ? value.find("b64") : value.end();
    if (found == value.end() || !found->is_string()) return std::nullopt;
    return decode_base64(found->get_ref<const std::string&>());
}

}  // namespace understudy::wire
