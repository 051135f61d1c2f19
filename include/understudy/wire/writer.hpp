// Writes JSON text: names, numbers, strings. Short pieces are gathered in a small buffer, so that the string grows in
// few steps. Appending each piece to the string itself would take two to three times as many instructions.
#pragma once

#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include <understudy/wire/bytes.hpp>
#include <understudy/wire/hex.hpp>
#include <understudy/wire/utf8.hpp>

namespace understudy::wire {

/// Appends JSON to a string. What is still in the buffer gets there by `flush`; without that the end of the text is
/// missing.
class Writer {
public:
    explicit Writer(std::string& out) : out_{out} {}
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    /// Appends JSON text. It is inlined, so that a literal becomes a few stores.
    [[gnu::always_inline]] Writer& put(std::string_view text) {
        if (text.size() > short_text) return long_text(text);
        make_room(text.size());
        std::memcpy(at_, text.data(), text.size());
        at_ += text.size();
        return *this;
    }
    /// Appends the name of a member with what stands around it: `before`, which is a brace or a comma, the quotes and
    /// the colon. Names are literals that need no escapes.
    [[gnu::always_inline]] void name(char before, std::string_view name) {
        make_room(name.size() + 4);
        const char ahead[] = {before, '"'};
        std::memcpy(at_, ahead, 2);
        std::memcpy(at_ + 2, name.data(), name.size());
        std::memcpy(at_ + 2 + name.size(), "\":", 2);
        at_ += name.size() + 4;
    }
    Writer& number(std::integral auto value) {
        make_room(longest_number);
        at_ = std::to_chars(at_, at_ + longest_number, value).ptr;
        return *this;
    }
    /// Appends 16 hexadecimal digits in quotes.
    void hex(std::uint64_t value) {
        constexpr auto size = hex_digits + 2;
        make_room(size);
        at_[0] = at_[size - 1] = '"';
        write_hex(at_ + 1, value);
        at_ += size;
    }
    /// Appends two numbers as an array.
    void pair(std::uint64_t first, std::uint64_t second) {
        make_room(2 * longest_number + 3);
        char* to = at_;
        *to++ = '[';
        to = std::to_chars(to, to + longest_number, first).ptr;
        *to++ = ',';
        to = std::to_chars(to, to + longest_number, second).ptr;
        *to++ = ']';
        at_ = to;
    }
    /// Appends a string. A short one that needs no escapes goes through the buffer.
    void string(std::string_view text) {
        if (text.size() <= short_text) {
            make_room(text.size() + 2 + slack);
            const char* from = text.data();
            const char* const end = from + text.size();
            *at_ = '"';
            char* const to = copy_plain(at_ + 1, from, end);
            if (from == end) {
                *to = '"';
                at_ = to + 1;
                return;
            }
        }
        encode_bytes(out(), text);
    }

    /// The string that is appended to, with all that was written before: for texts that are long or need escapes.
    std::string& out() {
        flush();
        return out_;
    }
    void flush() {
        out_.append(buffer_, at_);
        at_ = buffer_;
    }

private:
    // `copy_plain` may write `slack` bytes more than it copies.
    static constexpr std::size_t short_text = 128, longest_number = 20, slack = 16;

    void make_room(std::size_t size) {
        if (static_cast<std::size_t>(buffer_ + sizeof buffer_ - at_) < size) flush();
    }
    Writer& long_text(std::string_view text) {
        out().append(text);
        return *this;
    }

    std::string& out_;
    char buffer_[256];
    char* at_ = buffer_;
};

}  // namespace understudy::wire
