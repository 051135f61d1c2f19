// The texts that a clerk writes and reads most often, without the values in between that a general client has.
#pragma once

#include <string>
#include <string_view>

#include <understudy/base/config.hpp>

namespace understudy::kv {

/// Each appends the text of a command or query to `out`: the same that the store's own function makes of the value.
UNDERSTUDY_DECL void encode_put(std::string& out, std::string_view key, std::string_view value);
UNDERSTUDY_DECL void encode_append(std::string& out, std::string_view key, std::string_view value);
UNDERSTUDY_DECL void encode_get(std::string& out, std::string_view key);

/// If the text of a reply is a string without escapes, makes it the value of that string. Otherwise it stays as it is,
/// and the general decoder decides.
UNDERSTUDY_DECL bool take_plain_string(std::string& text);

}  // namespace understudy::kv

#if !defined(UNDERSTUDY_SEPARATE_COMPILATION)
#include <understudy/kv/client_text.ipp>
#endif
