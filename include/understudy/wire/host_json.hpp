// Converts a host's own types to and from JSON text through nlohmann::json. That type is only declared here: its header
// takes half as long to compile as everything that a host includes of this library, and a store with its own text
// functions does not need it. A host that needs it includes <nlohmann/json.hpp>.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace understudy::wire {

namespace detail {

/// `type` is always nlohmann::json. The parameter makes the type depend on the host's type, so that the compiler needs
/// its definition only at instantiation. By then the host has included the header, or never does.
template <typename T>
struct HostJson {
    using type = nlohmann::json;
};
/// True if the definition of nlohmann::json is known.
template <typename Json>
concept Included = requires { sizeof(Json); };

/// Stops the compilation with a sentence that says what to include, in place of the compiler's "incomplete type".
template <typename Json>
constexpr void require_included() {
    static_assert(Included<Json>,
                  "a command, query or reply of this store becomes JSON through nlohmann::json: include "
                  "<nlohmann/json.hpp> before the store is used, or give it functions of its own (docs/stores.md)");
}

}  // namespace detail

/// The value as JSON text. Throws what the type's `to_json` throws, and `nlohmann::json::exception` if a string in the
/// value is not UTF-8.
template <typename T>
std::string host_json_text(const T& value) {
    using Json = typename detail::HostJson<T>::type;
    if constexpr (detail::Included<Json>) return Json(value).dump();
    else detail::require_included<Json>();
}
/// The value of a JSON text. Throws `nlohmann::json::exception` if the text is no JSON, and what the type's `from_json`
/// throws.
template <typename T>
T host_json_value(std::string_view text) {
    using Json = typename detail::HostJson<T>::type;
    if constexpr (detail::Included<Json>) return Json::parse(text).template get<T>();
    else detail::require_included<Json>();
}

}  // namespace understudy::wire
