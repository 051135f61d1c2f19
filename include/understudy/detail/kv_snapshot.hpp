// The key/value store's snapshot: one line of JSON for each key, in the order of keys. Equal content is equal text,
// and the same text serves a joining backup, a dump for people, and a later load.
#pragma once

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <understudy/detail/cow_map.hpp>
#include <understudy/detail/kv_json.hpp>

namespace understudy::detail {

/// Reads a map piece by piece; the map that it was copied from may change meanwhile.
class KvSnapshot {
public:
    explicit KvSnapshot(CowMap map) : map_{std::move(map)}, at_{map_.begin()} {}

    /// The next 1 to `max` bytes; none at the end.
    std::string read(std::size_t max) {
        std::string bytes;
        while (bytes.size() < max && (used_ < line_.size() || next_line())) {
            auto count = std::min(max - bytes.size(), line_.size() - used_);
            bytes.append(line_, used_, count);
            used_ += count;
        }
        return bytes;
    }

private:
    bool next_line() {
        if (at_.at_end()) return false;
        line_.clear();
        used_ = 0;
        append_kv_line(line_, at_.key(), at_.value());
        at_.next();
        return true;
    }

    CowMap map_;          // keeps alive what the cursor walks over
    CowMap::Cursor at_;
    std::string line_;
    std::size_t used_ = 0;
};

/// Makes a map of what `KvSnapshot` read, split anywhere. Throws `std::runtime_error` that names the line at fault.
class KvLoader {
public:
    void chunk(std::string_view bytes) {
        while (!bytes.empty()) {
            auto length = bytes.find('\n');
            auto piece = bytes.substr(0, length);
            if (partial_.size() + piece.size() > max_line) fail("is longer than any key with its value can be");
            if (length == bytes.npos) {
                partial_ += piece;
                return;
            }
            if (partial_.empty()) {
                line(piece);
            } else {
                partial_ += piece;
                line(partial_);
                partial_.clear();
            }
            bytes.remove_prefix(length + 1);
        }
    }

    CowMap finish() {
        if (!partial_.empty()) fail("is cut off");
        return std::move(map_);
    }

    friend bool operator==(const KvLoader&, const KvLoader&) = default;

private:
    static constexpr std::size_t max_line = 6 * (kv::max_key + kv::max_value) + 4096;

    [[noreturn]] void fail(const std::string& what) const {
        throw std::runtime_error("snapshot line " + std::to_string(lines_ + 1) + " " + what);
    }

    void line(std::string_view text) try {
        auto record = decode_kv_record(text);
        if (record.key.size() > kv::max_key || record.value.size() > kv::max_value)
            fail("holds a key or value above the limit");
        if (lines_ > 0 && record.key <= last_key_) fail("is out of order: keys must ascend");
        map_.assign(record.key, record.value);
        last_key_ = std::move(record.key);
        ++lines_;
    } catch (const std::invalid_argument& wrong) {
        fail(std::string{"is malformed: "} + wrong.what());
    }

    CowMap map_;
    std::string partial_;
    std::string last_key_;
    std::size_t lines_ = 0;
};

}  // namespace understudy::detail
