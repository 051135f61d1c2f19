// A map from numbers to small values in one array. It is for numbers that grow and are not used again, such as those of
// calls: entries come and go all the time, and none of them has a node of its own.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <understudy/base/check.hpp>

namespace understudy {

/// A hash table with open addressing and linear probing. At least half of its cells are free, so an operation looks at
/// few of them. Its memory follows the largest number of entries that it has had at once, whatever their numbers are:
/// an entry that stays for long while others come and go costs nothing. Memory beyond 4096 cells is given back when the
/// last entry is taken, and not before. `Value` needs a default, which stands for "no entry"; number 0 cannot be a key.
template <typename Value>
class NumberMap {
public:
    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }

    /// The value of a number; null if there is none. It is valid until the next `add` or `take`.
    Value* find(std::uint64_t number) {
        const auto place = place_of(number);
        return place == none ? nullptr : &cells_[place].value;
    }
    const Value* find(std::uint64_t number) const {
        const auto place = place_of(number);
        return place == none ? nullptr : &cells_[place].value;
    }
    bool contains(std::uint64_t number) const { return place_of(number) != none; }

    /// Adds a number that has no value yet.
    void add(std::uint64_t number, Value value) {
        UNDERSTUDY_CHECK(number != 0);
        if (2 * (size_ + 1) > cells_.size()) grow();
        put(number, std::move(value));
        ++size_;
    }
    /// Removes a number and returns its value; the default if it had none.
    Value take(std::uint64_t number) {
        const auto place = place_of(number);
        if (place == none) return {};
        auto value = std::move(cells_[place].value);
        close_gap(place);
        if (--size_ == 0 && cells_.size() > most_kept) std::vector<Cell>{}.swap(cells_);
        return value;
    }
    /// Calls `use(number, value)` for each entry, in no particular order.
    template <typename Use>
    void for_each(Use use) {
        for (auto& cell : cells_)
            if (cell.number != 0) use(cell.number, cell.value);
    }

private:
    struct Cell {
        std::uint64_t number = 0;  // 0: the cell is free
        Value value{};
    };
    static constexpr std::size_t none = SIZE_MAX, fewest = 8;
    static constexpr std::size_t most_kept = 4096;  // cells that are kept when the last entry is gone

    std::size_t mask() const { return cells_.size() - 1; }
    // Multiplicative hashing (Knuth): the high bits of the product spread numbers that follow one another evenly.
    std::size_t home_of(std::uint64_t number) const {
        return static_cast<std::size_t>(number * 0x9e3779b97f4a7c15 >> (64 - std::countr_zero(cells_.size())));
    }
    std::size_t place_of(std::uint64_t number) const {
        if (size_ == 0) return none;
        for (auto place = home_of(number);; place = (place + 1) & mask()) {
            if (cells_[place].number == number) return number == 0 ? none : place;
            if (cells_[place].number == 0) return none;
        }
    }
    void put(std::uint64_t number, Value&& value) {
        auto place = home_of(number);
        for (; cells_[place].number != 0; place = (place + 1) & mask())
            UNDERSTUDY_CHECK(cells_[place].number != number);
        cells_[place].number = number;
        cells_[place].value = std::move(value);
    }
    // Frees a cell. An entry behind it that could have stood there moves into the gap: a free cell between an entry's
    // home and its place would hide the entry.
    void close_gap(std::size_t gap) {
        for (auto place = gap;;) {
            place = (place + 1) & mask();
            if (cells_[place].number == 0) break;
            const auto from_home = (place - home_of(cells_[place].number)) & mask();
            if (from_home < ((place - gap) & mask())) continue;
            cells_[gap] = std::move(cells_[place]);
            gap = place;
        }
        cells_[gap] = Cell{};
    }
    void grow() {
        auto former = std::exchange(cells_, {});
        cells_.resize(former.empty() ? fewest : 2 * former.size());
        for (auto& cell : former)
            if (cell.number != 0) put(cell.number, std::move(cell.value));
    }

    std::vector<Cell> cells_;  // a power of two of them, or none
    std::size_t size_ = 0;
};

}  // namespace understudy
