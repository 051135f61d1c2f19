// `Clerk`: the client of the built-in key/value store, with one function for each of its commands and queries.
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

#include <understudy/client.hpp>
#include <understudy/kv/client_text.hpp>
#include <understudy/kv_store.hpp>

namespace understudy {

namespace detail {

/// Extracts the alternative `V` from the store's reply. `kv::TooLarge` completes the call with `error::too_large`, any
/// other alternative with `error::internal`.
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

/// Expects the empty reply of `put`.
struct TakeDone {
    using Value = void;
    void operator()(std::error_code& ec, Answer&& answer) const {
        if (ec || answer.text != "null") Take<std::monostate>{}(ec, std::move(answer));
    }
};

/// Extracts the value of a key. A key without a value completes the call with `error::key_not_found`.
struct TakeFound {
    using Value = std::string;

    std::string operator()(std::error_code& ec, Answer&& answer) const {
        if (!ec && kv::take_plain_string(answer.text)) return std::move(answer.text);
        auto reply = TakeReply<KvStore>{}(ec, std::move(answer));
        if (ec) return {};
        if (auto* value = std::get_if<std::string>(&reply)) return std::move(*value);
        ec = std::holds_alternative<std::monostate>(reply) ? error::key_not_found : error::internal;
        return {};
    }
};

}  // namespace detail

/// A `Client` of `KvStore` with one function for each command and query. Keys and values are arbitrary bytes.
///
/// Completion, errors, cancellation and threading are those of `Client`. Each of these functions has a second form that
/// takes a deadline for this call alone, in place of `ClientOptions::give_up_after`. `async_get`, `async_keys` and
/// `async_dump` are the calls that read.
template <Transport T>
class Clerk {
    using DefaultToken = detail::DefaultToken<detail::ExecutorOf<T>>;

public:
    using executor_type = detail::ExecutorOf<T>;

    /// Throws `std::system_error` with `error::invalid_options` and a text that says what is wrong.
    explicit Clerk(T transport, ClientOptions options = {}, Observer observer = {})
        : client_{std::move(transport), std::move(options), std::move(observer)} {}

    /// Sets the value of a key. Completes with `void(std::error_code)`: `bad_request` if the key is longer than
    /// `kv::max_key` or the value is longer than `kv::max_value`.
    template <detail::AnswerTokenFor<void> Token = DefaultToken>
    auto async_put(std::string key, std::string value, Token&& token = Token()) {
        return execute<detail::TakeDone>(kv::encode_put, key, value, {}, std::forward<Token>(token));
    }
    template <detail::AnswerTokenFor<void> Token = DefaultToken>
    auto async_put(std::string key, std::string value, Duration give_up_after, Token&& token = Token()) {
        return execute<detail::TakeDone>(kv::encode_put, key, value, give_up_after, std::forward<Token>(token));
    }

    /// Appends to the value of a key, or sets it if the key does not exist. Completes with the new length in bytes, or
    /// with `too_large` if the value would exceed `kv::max_value`. In that case nothing was changed.
    template <detail::AnswerTokenFor<std::uint64_t> Token = DefaultToken>
    auto async_append(std::string key, std::string value, Token&& token = Token()) {
        return execute<detail::Take<std::uint64_t>>(kv::encode_append, key, value, {}, std::forward<Token>(token));
    }
    template <detail::AnswerTokenFor<std::uint64_t> Token = DefaultToken>
    auto async_append(std::string key, std::string value, Duration give_up_after, Token&& token = Token()) {
        return execute<detail::Take<std::uint64_t>>(kv::encode_append, key, value, give_up_after,
                                                    std::forward<Token>(token));
    }

    /// Removes a key. Completes with true if the key existed.
    template <detail::AnswerTokenFor<bool> Token = DefaultToken>
    auto async_erase(std::string key, Token&& token = Token()) {
        return client_.template execute<detail::Take<bool>>(kv::Erase{std::move(key)}, {}, std::forward<Token>(token));
    }
    template <detail::AnswerTokenFor<bool> Token = DefaultToken>
    auto async_erase(std::string key, Duration give_up_after, Token&& token = Token()) {
        return client_.template execute<detail::Take<bool>>(
            kv::Erase{std::move(key)}, give_up_after, std::forward<Token>(token));
    }

    /// Sets the value of a key if its present value is `expected`. If `expected` is empty, sets the value only if the
    /// key does not exist. Completes with `kv::CasResult`: whether the value was set, and the value that the key has
    /// now.
    template <detail::AnswerTokenFor<kv::CasResult> Token = DefaultToken>
    auto async_compare_and_set(std::string key, std::optional<std::string> expected, std::string value,
                               Token&& token = Token()) {
        return client_.template execute<detail::Take<kv::CasResult>>(
            kv::Cas{std::move(key), std::move(value), std::move(expected)}, {}, std::forward<Token>(token));
    }
    template <detail::AnswerTokenFor<kv::CasResult> Token = DefaultToken>
    auto async_compare_and_set(std::string key, std::optional<std::string> expected, std::string value,
                               Duration give_up_after, Token&& token = Token()) {
        return client_.template execute<detail::Take<kv::CasResult>>(
            kv::Cas{std::move(key), std::move(value), std::move(expected)}, give_up_after, std::forward<Token>(token));
    }

    /// Reads the value of a key. Completes with `error::key_not_found` if the key does not exist.
    template <detail::AnswerTokenFor<std::string> Token = DefaultToken>
    auto async_get(std::string key, Token&& token = Token()) {
        return get(key, {}, std::forward<Token>(token));
    }
    template <detail::AnswerTokenFor<std::string> Token = DefaultToken>
    auto async_get(std::string key, Duration give_up_after, Token&& token = Token()) {
        return get(key, give_up_after, std::forward<Token>(token));
    }

    /// Reads one page of keys, in the order of their bytes: keys that start with `prefix` and come after `after`, at
    /// most `limit` of them. A page may have fewer keys than `limit` although more follow; only an empty page says that
    /// no keys are left. For the next page, pass the last key as `after`.
    template <detail::AnswerTokenFor<kv::Page> Token = DefaultToken>
    auto async_keys(std::string prefix, std::optional<std::string> after, std::size_t limit, Token&& token = Token()) {
        return client_.template ask<detail::Take<kv::Page>>(
            kv::Keys{std::move(prefix), std::move(after), limit}, {}, std::forward<Token>(token));
    }
    template <detail::AnswerTokenFor<kv::Page> Token = DefaultToken>
    auto async_keys(std::string prefix, std::optional<std::string> after, std::size_t limit, Duration give_up_after,
                    Token&& token = Token()) {
        return client_.template ask<detail::Take<kv::Page>>(
            kv::Keys{std::move(prefix), std::move(after), limit}, give_up_after, std::forward<Token>(token));
    }

    /// As `Client::async_dump`: exports a snapshot. Each line is a JSON object with `key` and `value`, which
    /// `KvStore::decode_record` decodes.
    template <detail::TokenFor<Position> Token = DefaultToken>
    auto async_dump(std::function<void(std::string_view)> sink, Token&& token = Token()) {
        return client_.async_dump(std::move(sink), std::forward<Token>(token));
    }

    /// The underlying client. It takes any command and query.
    Client<KvStore, T>& client() { return client_; }

    /// The newest view that the clerk knows. Its number is 0 if the clerk has not learned any view.
    const ViewInfo& view() const { return client_.view(); }
    /// As `Client::stop`: ends every pending call with `operation_aborted`, each later call with `error::closed`, and
    /// closes the session.
    void stop() { client_.stop(); }
    executor_type get_executor() const noexcept { return client_.get_executor(); }

private:
    // The commands and queries that come most often are written at once as text, into memory that was used before.
    using Encode = void (&)(std::string& out, std::string_view key, std::string_view value);
    template <typename Take, typename Token>
    auto execute(Encode encode, std::string_view key, std::string_view value, std::optional<Duration> give_up_after,
                 Token&& token) {
        auto text = client_.text_buffer();
        encode(text, key, value);
        return client_.template execute_text<Take>(std::move(text), give_up_after, std::forward<Token>(token));
    }
    template <typename Token>
    auto get(std::string_view key, std::optional<Duration> give_up_after, Token&& token) {
        auto text = client_.text_buffer();
        kv::encode_get(text, key);
        return client_.template ask_text<detail::TakeFound>(std::move(text), give_up_after,
                                                            std::forward<Token>(token));
    }

    Client<KvStore, T> client_;
};

}  // namespace understudy
