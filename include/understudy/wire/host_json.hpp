// Converts a host's own types to and from JSON text through nlohmann::json. That type is only declared here: its header
// takes half as long to compile as everything that a host includes of this library, and a store with its own text
// functions does not need it. A host that needs it includes <nlohmann/json.hpp> before it names its store.
#pragma once

#include <concepts>
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
}  // namespace detail

/// Whether the definition of nlohmann::json is known. `T` is any type of the host's.
template <typename T>
concept KnowsJson = requires { sizeof(typename detail::HostJson<T>::type); };

/// A type with a `to_json`. False while the definition of nlohmann::json is not known.
template <typename T, typename Json = typename detail::HostJson<T>::type>
concept WritesJson = KnowsJson<T> && std::constructible_from<Json, const T&>;
/// A type with a `from_json`. False while the definition of nlohmann::json is not known.
template <typename T, typename Json = typename detail::HostJson<T>::type>
concept ReadsJson = KnowsJson<T> && requires(const Json& json) {
    { json.template get<T>() } -> std::same_as<T>;
};

/// The value as JSON text. Throws what the type's `to_json` throws, and `nlohmann::json::exception` if a string in the
/// value is not UTF-8.
template <typename T>
    requires WritesJson<T>
std::string host_json_text(const T& value) {
    using Json = typename detail::HostJson<T>::type;
    return Json(value).dump();
}
/// The value of a JSON text. Throws `nlohmann::json::exception` if the text is no JSON, and what the type's `from_json`
/// throws.
template <typename T>
    requires ReadsJson<T>
T host_json_value(std::string_view text) {
    using Json = typename detail::HostJson<T>::type;
    return Json::parse(text).template get<T>();
}

}  // namespace understudy::wire
