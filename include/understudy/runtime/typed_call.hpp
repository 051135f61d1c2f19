// Converts between the JSON text of commands and answers and the typed values of the host's calls.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include <understudy/async/completion_handler.hpp>
#include <understudy/async/token.hpp>
#include <understudy/error.hpp>
#include <understudy/result.hpp>
#include <understudy/runtime/call_table.hpp>
#include <understudy/view.hpp>
#include <understudy/wire/store_text.hpp>

namespace understudy::detail {

/// The answer to any call of the host.
struct Answer {
    Position at;
    std::string text;  ///< The reply of the store, or a piece of a snapshot.
    bool last = true;  ///< Whether this is the last piece of the snapshot.
};

/// The answer to a failed call has the cause in place of the text.
template <>
struct FailureText<Answer> {
    static std::string take(Answer& answer) { return std::move(answer.text); }
};

/// The JSON text of a command or query, or nothing if the value cannot be encoded as JSON.
using CallText = std::optional<std::string>;

template <typename Encode, typename Value>
CallText try_encode(Encode encode, const Value& value) {
    try {
        return encode(value);
    } catch (const std::exception&) {
        return std::nullopt;
    }
}

/// Decodes the store's reply. A reply that cannot be decoded completes the call with `error::internal`.
template <StoreApi S>
struct TakeReply {
    using Value = typename S::Reply;

    Value operator()(std::error_code& ec, Answer&& answer) const {
        try {
            if (!ec) return wire::decode_reply<S>(answer.text);
        } catch (const std::exception&) {
            ec = error::internal;
        }
        return {};
    }
};

/// Completes with the error code only.
struct TakeNothing {
    using Value = void;
    void operator()(std::error_code&, Answer&&) const {}
};

struct TakeAnswer {
    using Value = Answer;
    Answer operator()(std::error_code&, Answer&& answer) const { return std::move(answer); }
};

/// The value that `Take` extracts, together with its position.
template <typename Take>
struct TakeWithPosition {
    using Value = Result<typename Take::Value>;
    Take take{};

    Value operator()(std::error_code& ec, Answer&& answer) const {
        const auto at = answer.at;
        if constexpr (std::is_void_v<typename Take::Value>) {
            take(ec, std::move(answer));
            return {at};
        } else {
            auto value = take(ec, std::move(answer));
            return {std::move(value), at};
        }
    }
};

/// As `async_call`, for an answer with a position: completes with `Take::Value`, or with `Result<Take::Value>` if the
/// token is `with_position` of another one. `Default` is that other one for `with_position` alone.
template <typename Default, typename P, typename Request, typename Take, typename Token>
auto async_answer(std::shared_ptr<P> node, Request&& request, Take take, Token&& token) {
    using Given = std::decay_t<Token>;
    if constexpr (std::is_same_v<Given, WithPosition<void>>)
        return async_call(std::move(node), std::forward<Request>(request), TakeWithPosition<Take>{take}, Default{});
    else if constexpr (asks_position<Given>)
        return async_call(std::move(node), std::forward<Request>(request), TakeWithPosition<Take>{take},
                          std::forward<Token>(token).token);
    else
        return async_call(std::move(node), std::forward<Request>(request), take, std::forward<Token>(token));
}

}  // namespace understudy::detail
