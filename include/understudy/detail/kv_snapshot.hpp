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
        bytes.reserve(std::min(max, usual_chunk) + short_line);
        while (bytes.size() < max && (used_ < line_.size() || !at_.at_end())) {
            if (used_ == line_.size() && at_.key().size() + at_.value().size() < short_line) {
                append_kv_line(bytes, at_.key(), at_.value());
                go_on();
                continue;
            }
            if (used_ == line_.size()) next_line();
            auto count = std::min(max - bytes.size(), line_.size() - used_);
            bytes.append(line_, used_, count);
            used_ += count;
        }
        if (bytes.size() > max) {  // the last line is long enough for the next piece too
            line_.assign(bytes, max);
            used_ = 0;
            bytes.resize(max);
        }
        return bytes;
    }

private:
    static constexpr std::size_t short_line = 1024, usual_chunk = 256u << 10;

    void next_line() {
        line_.clear();
        used_ = 0;
        append_kv_line(line_, at_.key(), at_.value());
        go_on();
    }
    void go_on() {
        at_.next();
        if (at_.in_new_leaf()) map_.release_before(at_);
    }

    CowMap map_;  // keeps alive what the cursor walks over
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

    friend bool operator==(const KvLoader& a, const KvLoader& b) {
        return a.map_ == b.map_ && a.partial_ == b.partial_ && a.lines_ == b.lines_;
    }

private:
    static constexpr std::size_t max_line = 6 * (kv::max_key + kv::max_value) + 4096;

    [[noreturn]] void fail(const std::string& what) const {
        throw std::runtime_error("snapshot line " + std::to_string(lines_ + 1) + " " + what);
    }

    void line(std::string_view text) try {
        std::string_view key, value;
        if (usual(text, key, value)) return add(key, value);
        const auto record = decode_kv_record(text);
        add(record.key, record.value);
    } catch (const std::invalid_argument& wrong) {
        fail(std::string{"is malformed: "} + wrong.what());
    }

    /// Reads a line as `append_kv_line` writes it; a false says nothing about it.
    bool usual(std::string_view text, std::string_view& key, std::string_view& value) {
        wire::UsualForm form{text};
        return form.literal(R"({"key":)") && form.bytes(key, key_room_) && form.literal(R"(,"value":)") &&
               form.bytes(value, value_room_) && form.literal("}") && form.at_end();
    }

    void add(std::string_view key, std::string_view value) {
        if (key.size() > kv::max_key || value.size() > kv::max_value) fail("holds a key or value above the limit");
        if (!map_.push_back(key, value)) fail("is out of order: keys must ascend");
        ++lines_;
    }

    CowMap map_;
    std::string partial_;
    std::string key_room_, value_room_;  // of what was escaped in the line
    std::size_t lines_ = 0;
};

}  // namespace understudy::detail
