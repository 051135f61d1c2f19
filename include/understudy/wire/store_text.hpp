// The client's half of a Store's JSON: commands and queries to text, and text to replies. It stands apart from
// TypedStore, the replica's half, so that a client compiles nothing of that.
#pragma once

#include <string>
#include <string_view>

#include <understudy/store.hpp>
#include <understudy/wire/host_json.hpp>

namespace understudy::wire {

// Each function calls the store's own static function of the same name if there is one, and nlohmann::json otherwise
// (host_json.hpp). Each throws what these throw.

/// The JSON text of a command.
template <StoreApi S>
std::string encode_command(const typename S::Command& command) {
    if constexpr (understudy::detail::store_part::EncodesCommand<S>) return S::encode_command(command);
    else return host_json_text(command);
}

/// The JSON text of a query.
template <StoreApi S>
std::string encode_query(const typename S::Query& query) {
    if constexpr (understudy::detail::store_part::EncodesQuery<S>) return S::encode_query(query);
    else return host_json_text(query);
}

/// The reply of a JSON text.
template <StoreApi S>
typename S::Reply decode_reply(std::string_view text) {
    if constexpr (understudy::detail::store_part::DecodesReply<S>) return S::decode_reply(text);
    else return host_json_value<typename S::Reply>(text);
}

}  // namespace understudy::wire
