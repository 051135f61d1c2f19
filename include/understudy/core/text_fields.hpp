// Numbers and byte strings in a row, as text: the form of a snapshot's parts that the library itself writes.
#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

namespace understudy {

/// `17 `
inline void put_number(std::string& text, std::uint64_t value) {
    text += std::to_string(value);
    text += ' ';
}
/// `5 hello `
inline void put_bytes(std::string& text, std::string_view bytes) {
    put_number(text, bytes.size());
    text += bytes;
    text += ' ';
}

/// Reads what `put_number` and `put_bytes` wrote. After the first misfit it is not `ok` and gives zeros.
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

}  // namespace understudy
