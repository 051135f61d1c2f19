// Adapts a typed Store of a host to the TextStore (text_store.hpp) that the state machine of a replica works with: JSON
// text in and out, and faults as text instead of exceptions.
#pragma once

#include <concepts>
#include <cstddef>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include <understudy/store.hpp>
#include <understudy/text_store.hpp>
#include <understudy/wire/host_json.hpp>

namespace understudy::wire {

/// Bounds of a TypedStore, in bytes.
struct TypedStoreOptions {
    /// The largest simple snapshot that is restored. Such a snapshot is collected in memory first, so without a bound a
    /// faulty peer could exhaust it.
    std::size_t max_restore = 256u << 20;
};

/// A simple snapshot (one string) that can be read piece by piece, like a streaming one.
class SlicedSnapshot {
public:
    explicit SlicedSnapshot(std::string text) : text_{std::move(text)} {}

    /// The next bytes, 1 to `max` of them; empty at the end.
    std::string read(std::size_t max) {
        auto slice = text_.substr(used_, max);
        used_ += slice.size();
        return slice;
    }

private:
    std::string text_;
    std::size_t used_ = 0;
};

namespace detail {

/// The exception as human-readable text, without the label `[json.exception...]` of nlohmann's messages.
inline std::string explain(const std::exception& failure) {
    std::string_view what = failure.what();
    if (const auto label = what.find("] "); what.starts_with("[json.exception.") && label != what.npos)
        what.remove_prefix(label + 2);
    return what.empty() ? "an exception without a text" : std::string{what};
}

/// Runs `step`. Returns an empty string, or, if it threw, `about` followed by the exception's text.
template <typename Step>
std::string guarded(std::string_view about, Step&& step) {
    try {
        step();
        return {};
    } catch (const std::exception& failure) {
        return std::string{about} + explain(failure);
    } catch (...) {
        return std::string{about} + "an exception that is no std::exception";
    }
}

}  // namespace detail

/// A TextStore over any Store. Commands, queries and replies are converted by the store's own static `decode_command`,
/// `decode_query` and `encode` where it has them, and by nlohmann::json otherwise. A store may also have
/// `std::string check(const Command&) const`, to refuse a well-formed command before it is logged; it returns the
/// reason, or an empty string. With `prepare_text`, `apply_prepared` or `query_text` a store works on the JSON text
/// itself, and the conversion is left out (docs/stores.md).
///
/// An exception from decoding, `check`, `apply`, `query`, encoding or restoring is returned as text. An exception from
/// taking or reading a snapshot is passed on: if the snapshot just ended early, it would look complete, and a backup
/// would restore a part of the state as if it were all.
template <Store S>
class TypedStore {
public:
    explicit TypedStore(S store, TypedStoreOptions options = {})
        : store_{std::move(store)}, max_restore_{options.max_restore} {}
    TypedStore()
        requires std::default_initializable<S>
        : TypedStore{S{}} {}

    /// The host's store.
    S& store() { return store_; }
    const S& store() const { return store_; }

    /// Checks a command without applying it: the reason for which it must not be logged, if there is one, and what
    /// `apply` may be given for the same text.
    Preparation prepare(std::string_view text) const {
        Preparation it;
        auto fault = detail::guarded("command: ", [&] {
            if constexpr (prepares_text) {
                it.wrong = store_.prepare_text(text, it.command);
            } else {
                [[maybe_unused]] const auto command = decode_command(text);
                if constexpr (requires { { store_.check(command) } -> std::convertible_to<std::string>; })
                    it.wrong = store_.check(command);
            }
        });
        if (!fault.empty()) it.wrong = std::move(fault);
        return it;
    }
    /// The reason alone.
    std::string check(std::string_view text) const { return prepare(text).wrong; }

    /// Applies a committed command. The outcome is the reply as JSON text, or a fault of the command or of the store.
    TextOutcome apply(std::string_view text, [[maybe_unused]] const PreparedCommand& prepared = {}) {
        if constexpr (applies_prepared) {
            TextOutcome outcome;
            auto fault = detail::guarded("the store threw: ",
                                         [&] { outcome.text = store_.apply_prepared(text, prepared); });
            if (!fault.empty()) outcome = {false, std::move(fault)};
            return outcome;
        } else {
            return answer(
                "command: ", [&] { return decode_command(text); },
                [&](const auto& command) -> typename S::Reply { return store_.apply(command); });
        }
    }
    /// Answers a query. The outcome is the reply as JSON text, or a fault of the query or of the store.
    TextOutcome query(std::string_view text) const {
        if constexpr (queries_text) {
            std::string reply;
            auto fault = detail::guarded("query: ", [&] { reply = store_.query_text(text); });
            return fault.empty() ? TextOutcome{true, std::move(reply)} : TextOutcome{false, std::move(fault)};
        } else {
            return answer(
                "query: ", [&] { return decode_query(text); },
                [&](const auto& query) -> typename S::Reply { return store_.query(query); });
        }
    }

    /// A snapshot with `read(max)`, whichever form the store has. Throws what the store throws.
    auto snapshot() const {
        if constexpr (StreamingSnapshot<S>) return store_.snapshot();
        else return SlicedSnapshot{store_.snapshot()};
    }

    /// Restoring: `restore_begin`, then all bytes of the snapshot in order by `restore_chunk`, then `restore_end`. Each
    /// returns an empty string, or what is wrong. A simple snapshot is restored as a whole by `restore_end`.
    std::string restore_begin() {
        return detail::guarded("restore: ", [&] {
            if constexpr (StreamingSnapshot<S>) store_.restore_begin();
            else collected_.clear();
        });
    }
    std::string restore_chunk(std::string_view bytes) {
        if constexpr (StreamingSnapshot<S>) {
            return detail::guarded("restore: ", [&] { store_.restore_chunk(bytes); });
        } else {
            if (bytes.size() > max_restore_ - collected_.size())
                return "restore: the snapshot exceeds max_restore (" + std::to_string(max_restore_) + " bytes)";
            return detail::guarded("restore: ", [&] { collected_ += bytes; });
        }
    }
    std::string restore_end() {
        return detail::guarded("restore: ", [&] {
            if constexpr (StreamingSnapshot<S>) store_.restore_end();
            else store_.restore(std::exchange(collected_, {}));
        });
    }

    friend bool operator==(const TypedStore&, const TypedStore&)
        requires std::equality_comparable<S>
    = default;

    // ---- the replica's half of the store's JSON; each throws what the store's own or nlohmann's functions throw ----

    static typename S::Command decode_command(std::string_view text) {
        if constexpr (understudy::detail::store_part::DecodesCommand<S>) return S::decode_command(text);
        else return host_json_value<typename S::Command>(text);
    }
    static typename S::Query decode_query(std::string_view text) {
        if constexpr (understudy::detail::store_part::DecodesQuery<S>) return S::decode_query(text);
        else return host_json_value<typename S::Query>(text);
    }
    // Throws if a string in the reply is not UTF-8: JSON cannot carry it, and a reply with replaced bytes would be
    // wrong.
    static std::string encode(const typename S::Reply& reply) {
        if constexpr (understudy::detail::store_part::EncodesReply<S>) return S::encode(reply);
        else return host_json_text(reply);
    }

private:
    // True if the store itself declares the function. An inherited one does not count: a class derived from a store may
    // replace `check`, `apply` or `query`, and the base's text function would bypass the replacement.
    static constexpr bool prepares_text = requires {
        requires std::same_as<decltype(&S::prepare_text), std::string (S::*)(std::string_view, PreparedCommand&) const>;
    };
    static constexpr bool applies_prepared = requires {
        requires std::same_as<decltype(&S::apply_prepared),
                              std::string (S::*)(std::string_view, const PreparedCommand&)>;
    };
    static constexpr bool queries_text = requires {
        requires std::same_as<decltype(&S::query_text), std::string (S::*)(std::string_view) const>;
    };

    // Decodes, runs and encodes. `stage` names the step that is running, so that the text of an exception says whether
    // the input, the store or the reply is at fault.
    template <typename Decode, typename Run>
    static TextOutcome answer(std::string_view about, Decode&& decode, Run&& run) {
        std::string reply;
        std::string_view stage = about;
        auto fault = detail::guarded("", [&] {
            const auto input = decode();
            stage = "the store threw: ";
            const typename S::Reply output = run(input);
            stage = "the reply cannot be written as JSON: ";
            reply = encode(output);
        });
        if (fault.empty()) return {true, std::move(reply)};
        return {false, std::string{stage} + fault};
    }

    S store_;
    std::string collected_;  // the bytes so far of a simple snapshot that is being restored
    std::size_t max_restore_;
};

}  // namespace understudy::wire
