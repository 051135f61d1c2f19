// The snapshot of the key/value store: one line of JSON for each key, in the order of the keys. Equal content gives
// equal text. The same text brings up a joining backup, is exported for people, and can be loaded later.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <understudy/base/config.hpp>
#include <understudy/kv/cow_map.hpp>

namespace understudy::kv {

/// Reads a snapshot of a map as text, piece by piece. The map that it was copied from may change meanwhile. Not
/// thread-safe with respect to that map, since they share nodes (`CowMap`).
class KvSnapshot {
public:
    explicit KvSnapshot(CowMap map);

    /// The next 1 to `max` bytes of the text; empty at the end. `max` must not be 0.
    std::string read(std::size_t max);

private:
    void next_line();  ///< Writes the record at the cursor into `line_`.
    void go_on();      ///< Moves the cursor, and releases the leaves before it.

    CowMap map_;  // keeps the nodes alive over which the cursor moves
    CowMap::Cursor at_;
    std::string line_;      // a long line, or the rest of one that did not fit into the last piece
    std::size_t used_ = 0;  // bytes of it that were read
};

/// Makes a map from the text of a `KvSnapshot`, which may be split anywhere. It throws `std::runtime_error`, whose text
/// names the line that is malformed, too long, out of order, or above the limits of keys and values. After that it is
/// of no more use. The bound on a line also bounds what is held in memory for a line that has not ended.
class KvLoader {
public:
    /// The next bytes of the text.
    void chunk(std::string_view bytes);
    /// The map, once all bytes were given. Throws if the last line has not ended.
    CowMap finish();

    friend bool operator==(const KvLoader& a, const KvLoader& b) {
        return a.map_ == b.map_ && a.partial_ == b.partial_ && a.lines_ == b.lines_;
    }

private:
    [[noreturn]] void fail(const std::string& what) const;
    void line(std::string_view text);
    bool fast(std::string_view text, std::string_view& key, std::string_view& value);
    void add(std::string_view key, std::string_view value);

    CowMap map_;
    std::string partial_;                // the begin of a line that has not ended
    std::string key_room_, value_room_;  // for a key or value that was escaped in the text
    std::size_t lines_ = 0;              // read without a fault
};

}  // namespace understudy::kv

#if !defined(UNDERSTUDY_SEPARATE_COMPILATION)
#include <understudy/kv/snapshot.ipp>
#endif
