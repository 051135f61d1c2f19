// The key/value store's snapshot: one line of JSON for each key, in the order of keys. Equal content is equal text,
// and the same text serves a joining backup, a dump for people, and a later load.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <understudy/base/config.hpp>
#include <understudy/kv/cow_map.hpp>

namespace understudy::kv {

/// Reads a map piece by piece; the map that it was copied from may change meanwhile.
class KvSnapshot {
public:
    explicit KvSnapshot(CowMap map);

    /// The next 1 to `max` bytes; none at the end.
    std::string read(std::size_t max);

private:
    void next_line();
    void go_on();

    CowMap map_;  // keeps alive what the cursor walks over
    CowMap::Cursor at_;
    std::string line_;
    std::size_t used_ = 0;
};

/// Makes a map of what `KvSnapshot` read, split anywhere. Throws `std::runtime_error` that names the line at fault.
class KvLoader {
public:
    void chunk(std::string_view bytes);
    CowMap finish();

    friend bool operator==(const KvLoader& a, const KvLoader& b) {
        return a.map_ == b.map_ && a.partial_ == b.partial_ && a.lines_ == b.lines_;
    }

private:
    [[noreturn]] void fail(const std::string& what) const;
    void line(std::string_view text);
    bool usual(std::string_view text, std::string_view& key, std::string_view& value);
    void add(std::string_view key, std::string_view value);

    CowMap map_;
    std::string partial_;
    std::string key_room_, value_room_;  // of what was escaped in the line
    std::size_t lines_ = 0;
};

}  // namespace understudy::kv

#if !defined(UNDERSTUDY_SEPARATE_COMPILATION)
#include <understudy/kv/snapshot.ipp>
#endif
