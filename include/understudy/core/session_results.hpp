// What the commands of one session returned, for as long as they may be repeated (rules S10, C3).
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include <understudy/core/message.hpp>

namespace understudy {

/// Results by sequence number. They are mostly recorded in its order and forgotten from the lowest on: then all is
/// O(1), and otherwise O(log n).
class SessionResults {
public:
    struct Result {
        Sequence seq = 0;
        Position at;
        JsonText value;
        friend bool operator==(const Result&, const Result&) = default;
    };

    std::size_t size() const { return row().size() + strays_.size(); }

    /// Null if there is none.
    const Result* find(Sequence seq) const {
        if (!row().empty() && seq <= row_.back().seq) {
            const auto found = std::ranges::lower_bound(row(), seq, {}, &Result::seq);
            if (found->seq == seq) return &*found;
        }
        if (strays_.empty()) return nullptr;
        const auto stray = strays_.find(seq);
        return stray == strays_.end() ? nullptr : &stray->second;
    }
    /// There must be none of that number.
    void record(Result result) {
        if (row().empty() || result.seq > row_.back().seq) return row_.push_back(std::move(result));
        const auto place = std::ranges::lower_bound(row(), result.seq, {}, &Result::seq) - row().begin();
        const auto at = row_.begin() + static_cast<std::ptrdiff_t>(forgotten_) + place;
        if (row_.end() - at <= nearly_in_order)
            row_.insert(at, std::move(result));
        else
            strays_.emplace(result.seq, std::move(result));
    }
    void forget_below(Sequence low) {
        strays_.erase(strays_.begin(), strays_.lower_bound(low));
        for (; !row().empty() && row().front().seq < low; ++forgotten_) JsonText{}.swap(row_[forgotten_].value);
        if (forgotten_ < row().size()) return;  // so that each is moved at most once
        row_.erase(row_.begin(), row_.begin() + static_cast<std::ptrdiff_t>(std::exchange(forgotten_, 0)));
        if (row_.capacity() > much_room && row_.size() < row_.capacity() / 8) row_.shrink_to_fit();
    }

    /// Calls `visit` with each, in the order of their numbers.
    template <typename Visit>
    void each(Visit visit) const {
        auto stray = strays_.begin();
        for (const auto& result : row()) {
            for (; stray != strays_.end() && stray->first < result.seq; ++stray) visit(stray->second);
            visit(result);
        }
        for (; stray != strays_.end(); ++stray) visit(stray->second);
    }

    friend bool operator==(const SessionResults& a, const SessionResults& b) {
        bool same = a.size() == b.size();
        a.each([&](const Result& result) {
            const auto* other = same ? b.find(result.seq) : nullptr;
            same = other && *other == result;
        });
        return same;
    }

private:
    // Where one is missing for long and then comes, those behind it are not moved.
    static constexpr std::ptrdiff_t nearly_in_order = 256;
    static constexpr std::size_t much_room = 1024;

    std::span<const Result> row() const { return std::span{row_}.subspan(forgotten_); }

    std::vector<Result> row_;
    std::size_t forgotten_ = 0;          // so many at the front of the row are void
    std::map<Sequence, Result> strays_;  // that came far out of turn
};

}  // namespace understudy
