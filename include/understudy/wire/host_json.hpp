// A host's own types as JSON text, through nlohmann::json. That type is only declared here: its header takes half as
// long to compile as all that a host includes of this library, and a store that writes its own text does not need it.
// A host that needs it includes <nlohmann/json.hpp>.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace understudy::wire {

namespace detail {

/// Always the same type. The parameter makes it depend on the host's types, so that the compiler does not ask for its
/// definition before these are known.
template <typename T>
struct HostJson {
    using type = nlohmann::json;
};
template <typename Json>
concept Included = requires { sizeof(Json); };

template <typename Json>
constexpr void require_included() {
    static_assert(Included<Json>,
                  "a command, query or reply of this store becomes JSON through nlohmann::json: include "
                  "<nlohmann/json.hpp> before the store is used, or give it functions of its own (docs/stores.md)");
}

}  // namespace detail

/// Throws what the type's `to_json` throws, or `nlohmann::json::exception` if a string in it is not UTF-8.
template <typename T>
std::string host_json_text(const T& value) {
    using Json = typename detail::HostJson<T>::type;
    if constexpr (detail::Included<Json>) return Json(value).dump();
    else detail::require_included<Json>();
}
/// Throws `nlohmann::json::exception` if it is no JSON, and what the type's `from_json` throws.
template <typename T>
T host_json_value(std::string_view text) {
    using Json = typename detail::HostJson<T>::type;
    if constexpr (detail::Included<Json>) return Json::parse(text).template get<T>();
    else detail::require_included<Json>();
}

}  // namespace understudy::wire
