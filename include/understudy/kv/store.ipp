// The definitions of kv_store.hpp. They are compiled in the host's own files, or once in the target
// `understudy::compiled` (UNDERSTUDY_SEPARATE_COMPILATION).
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

#include <understudy/base/config.hpp>
#include <understudy/kv/client_text.ipp>
#include <understudy/kv/json.hpp>
#include <understudy/kv/snapshot.ipp>
#include <understudy/kv_store.hpp>
#include <understudy/kv_types.hpp>
#include <understudy/text_store.hpp>
#include <understudy/wire/bytes.hpp>

namespace understudy {

namespace kv {

/// The limit, in bytes, that a key or value exceeds, whatever the store contains; 0 if none. An append can also exceed
/// the limit of a value together with the value that is there: `KvStore::append` finds that.
inline std::size_t exceeded_by(std::string_view key, std::string_view value) {
    return key.size() > kv::max_key ? kv::max_key : value.size() > kv::max_value ? kv::max_value : 0;
}
inline std::size_t exceeded_by(const kv::Command& command) {
    return std::visit(
        [](const auto& concrete) {
            // `Cas::expect` has no limit: no stored value equals one that is too long, so the command sets nothing.
            if constexpr (requires { concrete.value; })
                return exceeded_by(concrete.key, concrete.value);
            else
                return exceeded_by(concrete.key, {});
        },
        command);
}
/// Human-readable text for an exceeded limit; empty for 0.
inline std::string describe_kv_limit(std::size_t limit) {
    if (limit == 0) return {};
    return (limit == kv::max_key ? "the key" : "a value") + std::string{" exceeds "} + std::to_string(limit) + " bytes";
}

}  // namespace kv

// ---- JSON ------------------------------------------------------------------------------------------------

UNDERSTUDY_DECL kv::Command KvStore::decode_command(std::string_view text) { return kv::decode_kv_command(text); }
UNDERSTUDY_DECL kv::Query KvStore::decode_query(std::string_view text) { return kv::decode_kv_query(text); }
UNDERSTUDY_DECL kv::Reply KvStore::decode_reply(std::string_view text) { return kv::decode_kv_reply(text); }
UNDERSTUDY_DECL kv::Record KvStore::decode_record(std::string_view line) { return kv::decode_kv_record(line); }
UNDERSTUDY_DECL std::string KvStore::encode(const Reply& reply) { return kv::encode_kv(reply); }
UNDERSTUDY_DECL std::string KvStore::encode_command(const Command& command) { return kv::encode_kv(command); }
UNDERSTUDY_DECL std::string KvStore::encode_query(const Query& query) { return kv::encode_kv(query); }

// ---- the state machine -----------------------------------------------------------------------------------

UNDERSTUDY_DECL std::string KvStore::check(const Command& command) const {
    return kv::describe_kv_limit(kv::exceeded_by(command));
}
UNDERSTUDY_DECL std::string KvStore::prepare_text(std::string_view text, PreparedCommand& prepared) const {
    const auto fast = kv::FastKvCommand::read(text);
    if (!fast) return check(kv::decode_any_kv_command(text));
    prepared = fast->prepared();
    return kv::describe_kv_limit(kv::exceeded_by(fast->key, fast->value));
}

UNDERSTUDY_DECL kv::Reply KvStore::apply(const Command& command) {
    // The primary has checked this before it logged the command. But applying must be total and deterministic, so it
    // does not rely on that.
    if (const auto limit = kv::exceeded_by(command)) return kv::TooLarge{limit};
    return std::visit([this](const auto& concrete) { return run(concrete); }, command);
}
UNDERSTUDY_DECL std::string KvStore::apply_prepared(std::string_view text, const PreparedCommand& prepared) {
    auto fast = kv::FastKvCommand::again(text, prepared);
    if (!fast) fast = kv::FastKvCommand::read(text);
    if (!fast) return encode(apply(kv::decode_any_kv_command(text)));
    if (const auto limit = kv::exceeded_by(fast->key, fast->value)) return encode(kv::TooLarge{limit});
    if (!fast->put) return encode(append(fast->key, fast->value));
    map_.assign(fast->key, fast->value);
    return "null";
}

UNDERSTUDY_DECL kv::Reply KvStore::query(const Query& query) const {
    return std::visit([this](const auto& concrete) { return answer(concrete); }, query);
}
UNDERSTUDY_DECL std::string KvStore::query_text(std::string_view text) const {
    const auto key = kv::fast_kv_get(text);
    if (!key) return encode(query(decode_query(text)));
    std::string reply;
    if (const auto value = map_.find(*key)) wire::encode_bytes(reply, *value);
    else reply = "null";
    return reply;
}

UNDERSTUDY_DECL kv::Reply KvStore::put(std::string_view key, std::string_view value) {
    map_.assign(key, value);
    return std::monostate{};
}
UNDERSTUDY_DECL kv::Reply KvStore::append(std::string_view key, std::string_view value) {
    const auto length = map_.find(key).value_or("").size();
    if (length + value.size() > kv::max_value) return kv::TooLarge{kv::max_value};
    return std::uint64_t{map_.append(key, value)};
}
UNDERSTUDY_DECL kv::Reply KvStore::run(const kv::Put& it) { return put(it.key, it.value); }
UNDERSTUDY_DECL kv::Reply KvStore::run(const kv::Append& it) { return append(it.key, it.value); }
UNDERSTUDY_DECL kv::Reply KvStore::run(const kv::Erase& erase) { return map_.erase(erase.key); }
UNDERSTUDY_DECL kv::Reply KvStore::run(const kv::Cas& cas) {
    const auto current = map_.find(cas.key);
    if (current != cas.expect)  // without `expect`, the key must be missing
        return kv::CasResult{false, current ? std::optional<std::string>{*current} : std::nullopt};
    map_.assign(cas.key, cas.value);
    return kv::CasResult{true, cas.value};
}

UNDERSTUDY_DECL kv::Reply KvStore::answer(const kv::Get& get) const {
    const auto value = map_.find(get.key);
    if (!value) return std::monostate{};
    return std::string{*value};
}
UNDERSTUDY_DECL kv::Reply KvStore::answer(const kv::Keys& wanted) const {
    kv::Page keys;
    const auto limit = std::min(wanted.limit, kv::max_page);
    // The page starts at `prefix` or after `after`, whichever is later. `after` itself need not exist any more.
    auto at = map_.lower_bound(std::max<std::string_view>(wanted.prefix, wanted.after.value_or("")));
    if (wanted.after && !at.at_end() && at.key() == *wanted.after) at.next();
    for (std::size_t bytes = 0; !at.at_end() && keys.size() < limit && at.key().starts_with(wanted.prefix);
         at.next()) {
        bytes += at.key().size();
        // The first key is always given: otherwise a client could never get past it.
        if (!keys.empty() && bytes > kv::max_page_bytes) break;
        keys.emplace_back(at.key());
    }
    return keys;
}

// ---- snapshots -------------------------------------------------------------------------------------------

UNDERSTUDY_DECL void KvStore::restore_begin() {
    loader_ = {};
    restoring_ = true;
}
UNDERSTUDY_DECL void KvStore::restore_chunk(std::string_view bytes) {
    if (!restoring_) throw std::runtime_error("restore_chunk without restore_begin");
    loader_.chunk(bytes);
}
UNDERSTUDY_DECL void KvStore::restore_end() {
    if (!std::exchange(restoring_, false)) throw std::runtime_error("restore_end without restore_begin");
    map_ = std::exchange(loader_, {}).finish();  // if this throws, the content stays as it was
}

}  // namespace understudy
