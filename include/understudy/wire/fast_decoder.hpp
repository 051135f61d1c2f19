// The fast path of decoding: the messages that a busy group and its view service exchange most, exactly as `encode`
// writes them. It visits the same field lists as the general decoder (messages.hpp), but expects the members in their
// order. A payload that differs by one byte, valid or not, is left to the general decoder (json.ipp), so this one never
// reports an error. Where it reads a payload, both decoders give the same message (tests/fuzz, target `json`).
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <understudy/protocol/call_id.hpp>
#include <understudy/protocol/message.hpp>
#include <understudy/protocol/message_view.hpp>
#include <understudy/wire/fast_scanner.hpp>
#include <understudy/wire/fields.hpp>
#include <understudy/wire/messages.hpp>
#include <understudy/wire/methods.hpp>

namespace understudy::wire {

// ---- values ----------------------------------------------------------------------------------------------

inline bool read(FastScanner& in, std::uint64_t& number) { return in.number(number); }
/// Of numbers that fit for sure. The sign and the range of others are left to the general decoder.
inline bool read(FastScanner& in, int& value) {
    std::uint64_t number = 0;
    if (!in.number(number) || number > 999) return false;
    value = static_cast<int>(number);
    return true;
}
inline bool read(FastScanner& in, bool& value) {
    value = in.literal("true");
    return value || in.literal("false");
}
template <Token T>
bool read(FastScanner& in, T& token) {
    std::uint64_t value = 0;
    if (!in.hex(value)) return false;
    token = T{value};
    return true;
}
inline bool read(FastScanner& in, Position& it) {
    return in.literal("[") && in.number(it.view) && in.literal(",") && in.number(it.index) && in.literal("]");
}
inline bool read(FastScanner& in, std::string& text) {
    std::string_view found;
    if (!in.plain(found)) return false;
    text = found;
    return true;
}
inline bool read(FastScanner& in, std::string_view& text) { return in.plain(text); }
inline bool read(FastScanner& in, Json<std::string_view> it) { return in.json(it.text); }
/// The bytes may lie in the payload (no escapes) or in `it.text` already, so they are copied only in the first case.
inline bool read(FastScanner& in, Bytes<std::string> it) {
    std::string_view found;
    if (!in.bytes(found, it.text)) return false;
    if (found.data() != it.text.data()) it.text = found;
    return true;
}

// Entries that open or close sessions and whole views are rare: the general decoder reads them.
inline bool read(FastScanner&, EntryKind&) { return false; }
inline bool read(FastScanner&, ViewInfo&) { return false; }
inline bool read(FastScanner& in, ViewRef& view) { return in.number(view.number); }

template <typename T>
bool read(FastScanner& in, std::optional<T>& value) {
    return read(in, value.emplace());
}
template <typename T>
bool read(FastScanner& in, std::vector<T>& list) {
    if (!in.literal("[")) return false;
    if (in.literal("]")) return true;
    do {
        if (!read(in, list.emplace_back())) return false;
    } while (in.literal(","));
    return in.literal("]");
}
/// A list with names that this version would not write is left to the general decoder, which skips such names.
inline bool read(FastScanner& in, FeatureNames<Features> it) {
    return read(in, it.list) && it.list.size() <= max_features && std::ranges::all_of(it.list, is_feature);
}

// ---- objects and messages --------------------------------------------------------------------------------

/// The visitor that reads the members of a field list in their order, with nothing between them. Optional members may
/// be absent. Its functions are inlined, so that the names are known where they are compared.
struct FastFieldReader {
    FastScanner& in;
    char before = '{';  // what stands before the name of the next member
    bool good = true;

    template <typename T>
    [[gnu::always_inline]] void required(std::string_view field, T&& member) {
        good = good && in.name(std::exchange(before, ','), field) && read(in, std::forward<T>(member));
    }
    template <typename T>
    [[gnu::always_inline]] void optional(std::string_view field, T&& member) {
        if (!good || !in.name(before, field)) return;
        before = ',';
        good = read(in, std::forward<T>(member));
    }
};

/// Reads an object that has a member.
template <HasFields T>
bool read(FastScanner& in, T& value) {
    FastFieldReader reader{in};
    fields(reader, value);
    return reader.good && in.literal("}");
}

namespace detail {
/// A message that has a form without texts of its own, which `MessageView` holds.
template <typename M>
concept HasView = requires(const M& message) { view_of(message); };
template <typename M>
concept FrequentMessage = std::same_as<M, Install> || std::same_as<M, Ping>;

/// The form in which the fast path reads the message `M`, as an alternative of `Into`; void if there is none. A message
/// of every call is read as a view. Of the others only the frequent ones have a form: each costs compile time.
template <typename M, typename Into>
struct FastForm {
    using type = void;
};
template <HasView M>
struct FastForm<M, MessageView> {
    using type = std::remove_cvref_t<decltype(view_of(std::declval<const M&>()))>;
};
template <FrequentMessage M>
struct FastForm<M, Message> {
    using type = M;
};

/// A fresh `F` in `into`. The list of an append keeps its memory.
template <typename F, typename Into>
F& fresh(Into& into) {
    if constexpr (std::same_as<F, AppendView>) {
        if (auto* former = std::get_if<F>(&into)) {
            auto entries = std::move(former->entries);
            entries.clear();
            *former = F{};
            former->entries = std::move(entries);
            return *former;
        }
    }
    return into.template emplace<F>();
}
}  // namespace detail

/// Reads one payload into `Into`, which is `MessageView` for the messages of every call, or `Message` for others that
/// are frequent.
template <typename Into>
class FastDecoder {
public:
    explicit FastDecoder(std::string_view payload) : in_{payload} {}

    /// After a false, `id` and `message` have unspecified values.
    bool read(CallId& id, Into& message) {
        if (!in_.literal(R"({"jsonrpc":"2.0","id":)")) return false;
        std::uint64_t number = 0;
        if (!in_.number(number)) return false;
        id = CallId{number};
        return (in_.literal(R"(,"method":")") ? request(message) : answer(id, message)) && in_.literal("}") &&
               in_.at_end();
    }

private:
    bool request(Into& message) {
        bool good = false;
        [&]<typename... C>(std::tuple<C...>*) {
            (void)(request_to<C>(message, good) || ...);
        }(static_cast<detail::Calls*>(nullptr));
        return good;
    }
    // Returns true if the method begins as that of the call `C` does. Then no other one is tried, and `good` says
    // whether the request was read.
    template <typename C>
    bool request_to(Into& message, bool& good) {
        using Form = typename detail::FastForm<typename C::Request, Into>::type;
        if constexpr (!std::is_void_v<Form>) {
            if (!in_.piece(to_string(C::method))) return false;
            good = in_.literal(R"(","params":)") && wire::read(in_, detail::fresh<Form>(message));
            return true;
        }
        return false;
    }
    // An answer does not name its method. The id does, since this process made it (protocol/call_id.hpp).
    bool answer(const CallId& id, Into& message) {
        if (!in_.literal(R"(,"result":)")) return false;
        return detail::with_call(call_method(id), false, [&]<typename C>() {
            using Form = typename detail::FastForm<typename C::Result, Into>::type;
            if constexpr (!std::is_void_v<Form>) return wire::read(in_, detail::fresh<Form>(message));
            else return false;
        });
    }

    FastScanner in_;
};

}  // namespace understudy::wire
