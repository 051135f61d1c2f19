// Numbers and byte strings as a sequence of text fields: the form in which the session table is written in a snapshot.
#pragma once

#include <array>
#include <bit>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>

namespace understudy::replica {

inline constexpr auto powers_of_ten = [] {
    std::array<std::uint64_t, 20> all{1};
    for (std::size_t n = 1; n < all.size(); ++n) all[n] = all[n - 1] * 10;
    return all;
}();

/// How many decimal digits a number has; 1 for 0. It is called for each result that is recorded, so it has no loop: the
/// length in bits gives the number of digits, or one too few, and one comparison with a power of ten decides.
constexpr std::size_t digits(std::uint64_t value) {
    const auto about = static_cast<std::size_t>(std::bit_width(value | 1)) * 1233 >> 12;  // times log10(2), at most 19
    return about + (value >= powers_of_ten[about] ? 1 : 0) + (value == 0 ? 1 : 0);
}
/// The length of the text that `put_bytes` writes for `bytes` bytes.
constexpr std::size_t size_of_bytes(std::size_t bytes) { return digits(bytes) + bytes + 2; }

/// Appends a number and a space: `17 `.
inline void put_number(std::string& text, std::uint64_t value) {
    text += std::to_string(value);
    text += ' ';
}
/// Appends a length, the bytes as they are, and a space: `5 hello `.
inline void put_bytes(std::string& text, std::string_view bytes) {
    put_number(text, bytes.size());
    text += bytes;
    text += ' ';
}

/// Reads what `put_number` and `put_bytes` wrote. After the first field that does not fit, `ok` is false and stays so,
/// and every further field reads as 0 or empty. So the caller may read several fields and check once.
class FieldReader {
public:
    explicit FieldReader(std::string_view text) : rest_{text} {}

    std::uint64_t number() {
        std::uint64_t value = 0;
        auto [end, fault] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
        if (fault != std::errc{}) return fail();
        rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
        return skip_space() ? value : fail();
    }
    std::string bytes() {
        auto size = number();
        if (!ok_ || size > rest_.size()) {
            fail();
            return {};
        }
        std::string value{rest_.substr(0, size)};
        rest_.remove_prefix(size);
        if (!skip_space()) fail();
        return value;
    }
    bool ok() const { return ok_; }
    /// The text that was not read yet; empty after an error.
    std::string_view rest() const { return rest_; }

private:
    bool skip_space() {
        if (rest_.empty() || rest_.front() != ' ') return false;
        rest_.remove_prefix(1);
        return true;
    }
    std::uint64_t fail() {
        ok_ = false;
        rest_ = {};
        return 0;
    }

    std::string_view rest_;
    bool ok_ = true;
};

}  // namespace understudy::replica
