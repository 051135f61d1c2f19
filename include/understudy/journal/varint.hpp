// A compact binary encoding of numbers and byte strings. A number is encoded as LEB128: seven bits per byte, the lowest
// first. A string is its length and its bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace understudy::journal {

inline void put_varint(std::string& out, std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) out += static_cast<char>(0x80 | (value & 0x7F));
    out += static_cast<char>(value);
}
inline void put_string(std::string& out, std::string_view bytes) {
    put_varint(out, bytes.size());
    out += bytes;
}

/// Reads what `put_varint` and `put_string` wrote. After the first malformed or missing item `ok` is false, and every
/// further read returns 0 or an empty string. So a caller may read several items and check `ok` once.
class VarintReader {
public:
    explicit VarintReader(std::string_view bytes) : rest_{bytes} {}

    std::uint64_t number() {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
            const auto byte = static_cast<unsigned char>(rest_.front());
            rest_.remove_prefix(1);
            value |= std::uint64_t{byte & 0x7FU} << shift;
            if (shift == 63 && byte > 1) break;  // beyond 64 bits
            if (byte < 0x80) return value;
        }
        fail();
        return 0;
    }
    /// The result refers to the bytes that are being read.
    std::string_view string() {
        const auto size = number();
        if (size > rest_.size()) fail();
        if (!ok_) return {};
        const auto bytes = rest_.substr(0, static_cast<std::size_t>(size));
        rest_.remove_prefix(bytes.size());
        return bytes;
    }
    bool ok() const { return ok_; }
    /// The number of bytes that were not read yet.
    std::size_t left() const { return rest_.size(); }

private:
    void fail() {
        ok_ = false;
        rest_ = {};
    }

    std::string_view rest_;
    bool ok_ = true;
};

}  // namespace understudy::journal
