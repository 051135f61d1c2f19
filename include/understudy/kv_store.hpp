// KvStore, the Store in the box: an ordered map of byte strings. Its commands and queries are in kv_types.hpp.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include <understudy/detail/cow_map.hpp>
#include <understudy/detail/kv_json.hpp>
#include <understudy/detail/kv_snapshot.hpp>
#include <understudy/kv_types.hpp>

namespace understudy {

/// A Store (store.hpp) with a streaming snapshot. Copying it and taking a snapshot are O(1); not thread-safe,
/// and neither are copies and snapshots that share content: all of them belong to one strand.
class KvStore {
public:
    using Command = kv::Command;
    using Query = kv::Query;
    using Reply = kv::Reply;
    using Snapshot = detail::KvSnapshot;

    // ---- JSON. Decoding throws std::invalid_argument, which says what is wrong and what was expected. ----

    static Command decode_command(std::string_view text) { return detail::decode_kv_command(text); }
    static Query decode_query(std::string_view text) { return detail::decode_kv_query(text); }
    static Reply decode_reply(std::string_view text) { return detail::decode_kv_reply(text); }
    /// One line of a snapshot, without its end of line.
    static kv::Record decode_record(std::string_view line) { return detail::decode_kv_record(line); }
    static std::string encode(const Reply& reply) { return detail::encode_kv(reply); }
    static std::string encode_command(const Command& command) { return detail::encode_kv(command); }
    static std::string encode_query(const Query& query) { return detail::encode_kv(query); }

    // ---- the state machine ----

    /// What forbids the command whatever the store holds, or an empty string.
    std::string check(const Command& command) const { return describe(exceeded(command)); }
    /// The same of a command's text, which is decoded only where that is needed. Throws as `decode_command` does.
    std::string check_text(std::string_view text) const {
        const auto usual = detail::UsualKvCommand::read(text);
        return usual ? describe(exceeded(usual->key, usual->value)) : check(decode_command(text));
    }

    Reply apply(const Command& command) {
        if (const auto limit = exceeded(command)) return kv::TooLarge{limit};
        return std::visit([this](const auto& concrete) { return run(concrete); }, command);
    }

    /// As `apply`, of a command's text, which is decoded only where that is needed. Throws as `decode_command` does.
    Reply apply_text(std::string_view text) {
        const auto usual = detail::UsualKvCommand::read(text);
        if (!usual) return apply(decode_command(text));
        if (const auto limit = exceeded(usual->key, usual->value)) return kv::TooLarge{limit};
        return usual->put ? put(usual->key, usual->value) : append(usual->key, usual->value);
    }

    Reply query(const Query& query) const {
        return std::visit([this](const auto& concrete) { return answer(concrete); }, query);
    }

    /// As `query`, from the query's text to the reply's. Throws as `decode_query` does.
    std::string query_text(std::string_view text) const {
        const auto key = detail::usual_kv_get(text);
        if (!key) return encode(query(decode_query(text)));
        std::string reply;
        if (const auto value = map_.find(*key))
            wire::encode_bytes(reply, *value);
        else
            reply = "null";
        return reply;
    }

    /// The number of keys, and the bytes of keys and values.
    std::size_t size() const { return map_.size(); }
    std::size_t payload_bytes() const { return map_.payload_bytes(); }

    // ---- snapshots. Restoring throws std::runtime_error; until restore_end has succeeded, the content stays. ----

    Snapshot snapshot() const { return Snapshot{map_}; }
    void restore_begin() {
        loader_ = {};
        restoring_ = true;
    }
    void restore_chunk(std::string_view bytes) {
        if (!restoring_) throw std::runtime_error("restore_chunk without restore_begin");
        loader_.chunk(bytes);
    }
    void restore_end() {
        if (!std::exchange(restoring_, false)) throw std::runtime_error("restore_end without restore_begin");
        map_ = std::exchange(loader_, {}).finish();
    }

    friend bool operator==(const KvStore&, const KvStore&) = default;

private:
    /// The limit that the command exceeds by itself; 0 if none.
    static std::size_t exceeded(std::string_view key, std::string_view value) {
        return key.size() > kv::max_key ? kv::max_key : value.size() > kv::max_value ? kv::max_value : 0;
    }
    static std::size_t exceeded(const Command& command) {
        return std::visit(
            [](const auto& concrete) {
                if constexpr (requires { concrete.value; })
                    return exceeded(concrete.key, concrete.value);
                else
                    return exceeded(concrete.key, {});
            },
            command);
    }
    static std::string describe(std::size_t limit) {
        if (limit == 0) return {};
        return (limit == kv::max_key ? "the key" : "a value") + std::string{" exceeds "} + std::to_string(limit) +
               " bytes";
    }

    Reply put(std::string_view key, std::string_view value) {
        map_.assign(key, value);
        return std::monostate{};
    }
    Reply append(std::string_view key, std::string_view value) {
        const auto length = map_.find(key).value_or("").size();
        if (length + value.size() > kv::max_value) return kv::TooLarge{kv::max_value};
        return std::uint64_t{map_.append(key, value)};
    }
    Reply run(const kv::Put& it) { return put(it.key, it.value); }
    Reply run(const kv::Append& it) { return append(it.key, it.value); }
    Reply run(const kv::Erase& erase) { return map_.erase(erase.key); }
    Reply run(const kv::Cas& cas) {
        const auto current = map_.find(cas.key);
        if (current != cas.expect)
            return kv::CasResult{false, current ? std::optional<std::string>{*current} : std::nullopt};
        map_.assign(cas.key, cas.value);
        return kv::CasResult{true, cas.value};
    }

    Reply answer(const kv::Get& get) const {
        const auto value = map_.find(get.key);
        if (!value) return std::monostate{};
        return std::string{*value};
    }
    Reply answer(const kv::Keys& wanted) const {
        kv::Page keys;
        const auto limit = std::min(wanted.limit, kv::max_page);
        auto at = map_.lower_bound(std::max<std::string_view>(wanted.prefix, wanted.after.value_or("")));
        if (wanted.after && !at.at_end() && at.key() == *wanted.after) at.next();
        for (std::size_t bytes = 0; !at.at_end() && keys.size() < limit && at.key().starts_with(wanted.prefix);
             at.next()) {
            bytes += at.key().size();
            if (!keys.empty() && bytes > kv::max_page_bytes) break;
            keys.emplace_back(at.key());
        }
        return keys;
    }

    detail::CowMap map_;
    detail::KvLoader loader_;
    bool restoring_ = false;
};

}  // namespace understudy
