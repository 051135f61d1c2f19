// KvStore, the Store in the box: an ordered map of byte strings. Its commands and queries are in kv_types.hpp.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <understudy/base/config.hpp>
#include <understudy/kv/cow_map.hpp>
#include <understudy/kv/snapshot.hpp>
#include <understudy/kv_types.hpp>

namespace understudy {

/// A Store (store.hpp) with a streaming snapshot. Copying it and taking a snapshot are O(1); not thread-safe,
/// and neither are copies and snapshots that share content: all of them belong to one strand.
class KvStore {
public:
    using Command = kv::Command;
    using Query = kv::Query;
    using Reply = kv::Reply;
    using Snapshot = kv::KvSnapshot;

    // ---- JSON. Decoding throws std::invalid_argument, which says what is wrong and what was expected. ----

    static Command decode_command(std::string_view text);
    static Query decode_query(std::string_view text);
    static Reply decode_reply(std::string_view text);
    /// One line of a snapshot, without its end of line.
    static kv::Record decode_record(std::string_view line);
    static std::string encode(const Reply& reply);
    static std::string encode_command(const Command& command);
    static std::string encode_query(const Query& query);

    // ---- the state machine ----

    /// What forbids the command whatever the store holds, or an empty string.
    std::string check(const Command& command) const;
    /// The same of a command's text, which is decoded only where that is needed. Throws as `decode_command` does.
    std::string check_text(std::string_view text) const;

    Reply apply(const Command& command);
    /// As `apply`, of a command's text, which is decoded only where that is needed. Throws as `decode_command` does.
    Reply apply_text(std::string_view text);

    Reply query(const Query& query) const;
    /// As `query`, from the query's text to the reply's. Throws as `decode_query` does.
    std::string query_text(std::string_view text) const;

    /// The number of keys, and the bytes of keys and values.
    std::size_t size() const { return map_.size(); }
    std::size_t payload_bytes() const { return map_.payload_bytes(); }

    // ---- snapshots. Restoring throws std::runtime_error; until restore_end has succeeded, the content stays. ----

    Snapshot snapshot() const { return Snapshot{map_}; }
    void restore_begin();
    void restore_chunk(std::string_view bytes);
    void restore_end();

    friend bool operator==(const KvStore&, const KvStore&) = default;

private:
    Reply put(std::string_view key, std::string_view value);
    Reply append(std::string_view key, std::string_view value);
    Reply run(const kv::Put& put);
    Reply run(const kv::Append& append);
    Reply run(const kv::Erase& erase);
    Reply run(const kv::Cas& cas);
    Reply answer(const kv::Get& get) const;
    Reply answer(const kv::Keys& wanted) const;

    kv::CowMap map_;
    kv::KvLoader loader_;
    bool restoring_ = false;
};

}  // namespace understudy

#if !defined(UNDERSTUDY_SEPARATE_COMPILATION)
#include <understudy/kv/store.ipp>
#endif
