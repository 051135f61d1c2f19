// From the text of an answer to what a host's call completes with.
#pragma once

#include <exception>
#include <optional>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include <understudy/async/completion.hpp>
#include <understudy/error.hpp>
#include <understudy/result.hpp>
#include <understudy/view.hpp>
#include <understudy/wire/store_text.hpp>

namespace understudy::detail {

/// The answer to any call of a host's.
struct Answer {
    Position at;
    std::string text;  ///< What the store returned, or a piece of a snapshot,
    bool last = true;  ///< and whether that was the last piece.
};

/// A call that failed has the reasons in place of the text.
template <>
struct FailureText<Answer> {
    static std::string take(Answer& answer) { return std::move(answer.text); }
};

/// The text of a command or query; nothing if the host gave one that has no JSON form.
using CallText = std::optional<std::string>;

template <typename Encode, typename Value>
CallText try_encode(Encode encode, const Value& value) {
    try {
        return encode(value);
    } catch (const std::exception&) {
        return std::nullopt;
    }
}

/// The store's reply. One that cannot be read completes with `error::internal`.
template <Store S>
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

/// Nothing but the error.
struct TakeNothing {
    using Value = void;
    void operator()(std::error_code&, Answer&&) const {}
};

struct TakeAnswer {
    using Value = Answer;
    Answer operator()(std::error_code&, Answer&& answer) const { return std::move(answer); }
};

/// What `Take` takes, and its position.
template <typename Take>
struct WithPosition {
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

/// Keeps a duration in a token's place from being taken for a token.
template <typename T>
concept Token = !std::is_convertible_v<T, Duration>;

}  // namespace understudy::detail
