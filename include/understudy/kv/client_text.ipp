// The definitions of client_text.hpp.
#pragma once

#include <string>
#include <string_view>

#include <understudy/base/config.hpp>
#include <understudy/kv/client_text.hpp>
#include <understudy/kv/json.hpp>

namespace understudy::kv {

UNDERSTUDY_DECL void encode_put(std::string& out, std::string_view key, std::string_view value) {
    append_kv_put(out, key, value);
}
UNDERSTUDY_DECL void encode_append(std::string& out, std::string_view key, std::string_view value) {
    append_kv_append(out, key, value);
}
UNDERSTUDY_DECL void encode_get(std::string& out, std::string_view key) { append_kv_get(out, key); }

UNDERSTUDY_DECL bool take_plain_string(std::string& text) {
    // The text was received as valid JSON. So one string without escapes has two quotes, and no backslash.
    if (!text.starts_with('"') || text.find('"', 1) != text.size() - 1 || text.find('\\') != text.npos) return false;
    text.pop_back();
    text.erase(0, 1);
    return true;
}

}  // namespace understudy::kv
