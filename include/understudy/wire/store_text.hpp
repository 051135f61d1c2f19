// A client's half of a Store's JSON: commands and queries to text, text to replies. The replica's half is TypedStore.
#pragma once

#include <concepts>
#include <string>
#include <string_view>

#include <understudy/store.hpp>
#include <understudy/wire/host_json.hpp>

namespace understudy::wire {

// Each goes through the store's own static function of that name where it has one, else through nlohmann::json;
// each throws what those throw.

template <Store S>
std::string encode_command(const typename S::Command& command) {
    if constexpr (requires { { S::encode_command(command) } -> std::convertible_to<std::string>; })
        return S::encode_command(command);
    else return host_json_text(command);
}

template <Store S>
std::string encode_query(const typename S::Query& query) {
    if constexpr (requires { { S::encode_query(query) } -> std::convertible_to<std::string>; })
        return S::encode_query(query);
    else return host_json_text(query);
}

template <Store S>
typename S::Reply decode_reply(std::string_view text) {
    if constexpr (requires { { S::decode_reply(text) } -> std::convertible_to<typename S::Reply>; })
        return S::decode_reply(text);
    else return host_json_value<typename S::Reply>(text);
}

}  // namespace understudy::wire
