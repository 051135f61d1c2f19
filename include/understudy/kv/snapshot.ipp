// The definitions of kv/snapshot.hpp. They are compiled in the host's own files, or once in the target
// `understudy::compiled` (UNDERSTUDY_SEPARATE_COMPILATION).
#pragma once

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <understudy/base/config.hpp>
#include <understudy/kv/cow_map.hpp>
#include <understudy/kv/json.hpp>
#include <understudy/kv/snapshot.hpp>
#include <understudy/kv_types.hpp>
#include <understudy/wire/fast_scanner.hpp>

namespace understudy::kv {

namespace kv_lines {
// A record of less than `short_line` bytes is written directly into the piece; a longer one goes through `line_`, which
// may be larger than a piece. `chunk_bytes` bounds the memory reserved in advance, whatever `max` is.
inline constexpr std::size_t short_line = 1024, chunk_bytes = 256u << 10;
// A byte takes at most six in JSON (\u0000).
inline constexpr std::size_t max_line = 6 * (kv::max_key + kv::max_value) + 4096;
}  // namespace kv_lines

UNDERSTUDY_DECL KvSnapshot::KvSnapshot(CowMap map) : map_{std::move(map)}, at_{map_.begin()} {}

UNDERSTUDY_DECL std::string KvSnapshot::read(std::size_t max) {
    std::string bytes;
    bytes.reserve(std::min(max, kv_lines::chunk_bytes) + kv_lines::short_line);
    while (bytes.size() < max && (used_ < line_.size() || !at_.at_end())) {
        if (used_ == line_.size() && at_.key().size() + at_.value().size() < kv_lines::short_line) {
            append_kv_line(bytes, at_.key(), at_.value());
            go_on();
            continue;
        }
        if (used_ == line_.size()) next_line();
        auto count = std::min(max - bytes.size(), line_.size() - used_);
        bytes.append(line_, used_, count);  // a long line, or the rest of one
        used_ += count;
    }
    if (bytes.size() > max) {  // the last line was short but did not fit: its rest begins the next piece
        line_.assign(bytes, max);
        used_ = 0;
        bytes.resize(max);
    }
    return bytes;
}

UNDERSTUDY_DECL void KvSnapshot::next_line() {
    line_.clear();
    used_ = 0;
    append_kv_line(line_, at_.key(), at_.value());
    go_on();
}

UNDERSTUDY_DECL void KvSnapshot::go_on() {
    at_.next();
    // The leaves before this one were read: release them now, and not all together at the end.
    if (at_.in_new_leaf()) map_.release_before(at_);
}

UNDERSTUDY_DECL void KvLoader::chunk(std::string_view bytes) {
    while (!bytes.empty()) {
        auto length = bytes.find('\n');
        auto piece = bytes.substr(0, length);
        if (partial_.size() + piece.size() > kv_lines::max_line) fail("is longer than any key with its value can be");
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

UNDERSTUDY_DECL CowMap KvLoader::finish() {
    if (!partial_.empty()) fail("is cut off");
    return std::move(map_);
}

UNDERSTUDY_DECL void KvLoader::fail(const std::string& what) const {
    throw std::runtime_error("snapshot line " + std::to_string(lines_ + 1) + " " + what);
}

UNDERSTUDY_DECL void KvLoader::line(std::string_view text) try {
    std::string_view key, value;
    if (fast(text, key, value)) return add(key, value);
    const auto record = decode_kv_record(text);
    add(record.key, record.value);
} catch (const std::invalid_argument& wrong) {
    fail(std::string{"is malformed: "} + wrong.what());
}

/// The fast path: reads a line in exactly the form that `append_kv_line` writes. False does not mean that the line is
/// wrong: then the general decoder decides.
UNDERSTUDY_DECL bool KvLoader::fast(std::string_view text, std::string_view& key, std::string_view& value) {
    wire::FastScanner form{text};
    return form.literal(R"({"key":)") && form.bytes(key, key_room_) && form.literal(R"(,"value":)") &&
           form.bytes(value, value_room_) && form.literal("}") && form.at_end();
}

UNDERSTUDY_DECL void KvLoader::add(std::string_view key, std::string_view value) {
    if (key.size() > kv::max_key || value.size() > kv::max_value) fail("holds a key or value above the limit");
    // Keys must ascend: so no key stands there twice, and equal content has only one text.
    if (!map_.push_back(key, value)) fail("is out of order: keys must ascend");
    ++lines_;
}

}  // namespace understudy::kv
