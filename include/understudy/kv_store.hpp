// `KvStore`, the built-in Store: an ordered map of byte strings. Its commands and queries are in kv_types.hpp.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <understudy/base/config.hpp>
#include <understudy/kv/cow_map.hpp>
#include <understudy/kv/snapshot.hpp>
#include <understudy/kv_types.hpp>
#include <understudy/text_store.hpp>

namespace understudy {

/// A Store (store.hpp) with a streaming snapshot. Copying the store and taking a snapshot are O(1). Not thread-safe.
/// Copies and snapshots share content with the store they come from, so all of them belong to one strand.
class KvStore {
public:
    using Command = kv::Command;
    using Query = kv::Query;
    using Reply = kv::Reply;
    using Snapshot = kv::KvSnapshot;

    // ---- JSON. The decoders throw std::invalid_argument with a text: what is wrong, and what was expected. ----

    static Command decode_command(std::string_view text);
    static Query decode_query(std::string_view text);
    static Reply decode_reply(std::string_view text);
    /// Decodes one line of a snapshot, given without its line end.
    static kv::Record decode_record(std::string_view line);
    static std::string encode(const Reply& reply);
    static std::string encode_command(const Command& command);
    static std::string encode_query(const Query& query);

    // ---- the state machine ----

    /// Says why the command is invalid in every state of the store, or returns an empty string. The primary checks a
    /// command before it logs it.
    std::string check(const Command& command) const;
    /// As `check`, for the JSON text of a command. The text is decoded only where that is needed. Notes in `prepared`
    /// where key and value are in it, if they can be taken from there as they are. Throws as `decode_command` does.
    std::string prepare_text(std::string_view text, PreparedCommand& prepared) const;

    Reply apply(const Command& command);
    /// As `apply`, from the JSON text of a command to the JSON text of the reply. `prepared` is what `prepare_text`
    /// noted for this text, or empty. Throws as `decode_command` does.
    std::string apply_prepared(std::string_view text, const PreparedCommand& prepared);

    Reply query(const Query& query) const;
    /// As `query`, from the JSON text of the query to the JSON text of the reply. Throws as `decode_query` does.
    std::string query_text(std::string_view text) const;

    /// The number of keys, and the total bytes of keys and values.
    std::size_t size() const { return map_.size(); }
    std::size_t payload_bytes() const { return map_.payload_bytes(); }

    // ---- Snapshots. Restoring throws std::runtime_error. The content stays as it is until restore_end succeeds. ----

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
