// The client of the key/value store in the box.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include <asio/use_awaitable.hpp>

#include <understudy/client.hpp>
#include <understudy/kv_store.hpp>

namespace understudy {

namespace detail {

/// The alternative `V` of the store's reply. Its refusal of a value that is too long becomes `error::too_large`,
/// any other alternative `error::internal`.
template <typename V>
struct Take {
    using Value = V;

    V operator()(std::error_code& ec, Answer&& answer) const {
        auto reply = TakeReply<KvStore>{}(ec, std::move(answer));
        if (ec) return {};
        if (auto* value = std::get_if<V>(&reply)) return std::move(*value);
        ec = std::holds_alternative<kv::TooLarge>(reply) ? error::too_large : error::internal;
        return {};
    }
};

/// Nothing, which `put` answers.
struct TakeDone {
    using Value = void;
    void operator()(std::error_code& ec, Answer&& answer) const { Take<std::monostate>{}(ec, std::move(answer)); }
};

/// The value of a key; its absence is `error::key_not_found`.
struct TakeFound {
    using Value = std::string;

    std::string operator()(std::error_code& ec, Answer&& answer) const {
        auto reply = TakeReply<KvStore>{}(ec, std::move(answer));
        if (ec) return {};
        if (auto* value = std::get_if<std::string>(&reply)) return std::move(*value);
        ec = std::holds_alternative<std::monostate>(reply) ? error::key_not_found : error::internal;
        return {};
    }
};

}  // namespace detail

/// A `Client` of `KvStore` with a verb for each command and query. Keys and values are any bytes.
///
/// What `Client` says of its calls holds for these. Each verb has a twin whose name ends in `_at` that completes with
/// `Result<T>`: what the verb completes with, and its position. For a deadline of one call's own use `client()`.
template <Transport T>
class Clerk {
public:
    /// Throws `std::system_error` with `error::invalid_options` and a sentence that says what is wrong.
    explicit Clerk(T transport, ClerkOptions options = {}, Observer observer = {})
        : client_{std::move(transport), std::move(options), std::move(observer)} {}

    /// Sets the value of a key. Completes with `void(std::error_code)`; `bad_request` if the key is longer than
    /// `kv::max_key` or the value than `kv::max_value`.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_put(std::string key, std::string value, Token&& token = Token()) {
        return client_.template execute<detail::TakeDone>(
            kv::Put{std::move(key), std::move(value)}, {}, std::forward<Token>(token));
    }
    template <typename Token = asio::use_awaitable_t<>>
    auto async_put_at(std::string key, std::string value, Token&& token = Token()) {
        return client_.template execute<At<detail::TakeDone>>(
            kv::Put{std::move(key), std::move(value)}, {}, std::forward<Token>(token));
    }

    /// Adds to the end of a value, or sets it; completes with the new length in bytes. `too_large` if it would exceed
    /// `kv::max_value`; nothing was changed then.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_append(std::string key, std::string value, Token&& token = Token()) {
        return client_.template execute<detail::Take<std::uint64_t>>(
            kv::Append{std::move(key), std::move(value)}, {}, std::forward<Token>(token));
    }
    template <typename Token = asio::use_awaitable_t<>>
    auto async_append_at(std::string key, std::string value, Token&& token = Token()) {
        return client_.template execute<At<detail::Take<std::uint64_t>>>(
            kv::Append{std::move(key), std::move(value)}, {}, std::forward<Token>(token));
    }

    /// Removes a key; completes with whether it was there.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_erase(std::string key, Token&& token = Token()) {
        return client_.template execute<detail::Take<bool>>(kv::Erase{std::move(key)}, {}, std::forward<Token>(token));
    }
    template <typename Token = asio::use_awaitable_t<>>
    auto async_erase_at(std::string key, Token&& token = Token()) {
        return client_.template execute<At<detail::Take<bool>>>(
            kv::Erase{std::move(key)}, {}, std::forward<Token>(token));
    }

    /// Sets the value if it is `expected` now, or, with nothing expected, if the key does not exist. Completes with
    /// `kv::CasResult`: whether it was set, and the value as it is now.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_compare_and_set(std::string key, std::optional<std::string> expected, std::string value,
                               Token&& token = Token()) {
        return client_.template execute<detail::Take<kv::CasResult>>(
            kv::Cas{std::move(key), std::move(value), std::move(expected)}, {}, std::forward<Token>(token));
    }
    template <typename Token = asio::use_awaitable_t<>>
    auto async_compare_and_set_at(std::string key, std::optional<std::string> expected, std::string value,
                                  Token&& token = Token()) {
        return client_.template execute<At<detail::Take<kv::CasResult>>>(
            kv::Cas{std::move(key), std::move(value), std::move(expected)}, {}, std::forward<Token>(token));
    }

    /// The value of a key; `error::key_not_found` if it has none.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_get(std::string key, Token&& token = Token()) {
        return client_.template ask<detail::TakeFound>(kv::Get{std::move(key)}, {}, std::forward<Token>(token));
    }
    template <typename Token = asio::use_awaitable_t<>>
    auto async_get_at(std::string key, Token&& token = Token()) {
        return client_.template ask<At<detail::TakeFound>>(kv::Get{std::move(key)}, {}, std::forward<Token>(token));
    }

    /// The keys that start with `prefix` and come after `after`, in the order of their bytes, at most `limit`. A page
    /// may be shorter; only an empty one says that there are no more. For the next page pass the last key as `after`.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_keys(std::string prefix, std::optional<std::string> after, std::size_t limit, Token&& token = Token()) {
        return client_.template ask<detail::Take<kv::Page>>(
            kv::Keys{std::move(prefix), std::move(after), limit}, {}, std::forward<Token>(token));
    }
    template <typename Token = asio::use_awaitable_t<>>
    auto async_keys_at(std::string prefix, std::optional<std::string> after, std::size_t limit,
                       Token&& token = Token()) {
        return client_.template ask<At<detail::Take<kv::Page>>>(
            kv::Keys{std::move(prefix), std::move(after), limit}, {}, std::forward<Token>(token));
    }

    /// As `Client::async_dump`: a snapshot, on each line a JSON object with `key` and `value`
    /// (`KvStore::decode_record`).
    template <typename Token = asio::use_awaitable_t<>>
    auto async_dump(std::function<void(std::string_view)> sink, Token&& token = Token()) {
        return client_.async_dump(std::move(sink), std::forward<Token>(token));
    }

    /// The client beneath: any command and query, with deadlines of their own.
    Client<KvStore, T>& client() { return client_; }

    /// The newest view that the clerk knows; number 0 if it has not learned one.
    const ViewInfo& view() const { return client_.view(); }
    /// As `Client::stop`: ends every call with `operation_aborted`, each later one with `error::closed`, and closes the
    /// session.
    void stop() { client_.stop(); }
    asio::any_io_executor get_executor() const { return client_.get_executor(); }

private:
    template <typename Take>
    using At = detail::WithPosition<Take>;

    Client<KvStore, T> client_;
};

}  // namespace understudy
