// What the commands of one session returned, for as long as they may be repeated (rules S10, C3).
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include <understudy/core/message.hpp>

namespace understudy {

/// Results by sequence number, mostly recorded in its order and forgotten from the lowest on: then all is O(1).
class SessionResults {
public:
    struct Result {
        Sequence seq = 0;
        Position at;
        JsonText value;
        friend bool operator==(const Result&, const Result&) = default;
    };

    std::span<const Result> all() const { return std::span{results_}.subspan(forgotten_); }
    std::size_t size() const { return results_.size() - forgotten_; }

    /// Null if there is none.
    const Result* find(Sequence seq) const {
        if (size() == 0 || seq > results_.back().seq) return nullptr;
        const auto found = std::ranges::lower_bound(all(), seq, {}, &Result::seq);
        return found->seq == seq ? &*found : nullptr;
    }
    /// One that is there is replaced.
    void record(Result result) {
        if (size() == 0 || result.seq > results_.back().seq) return results_.push_back(std::move(result));
        const auto place = std::ranges::lower_bound(begin(), results_.end(), result.seq, {}, &Result::seq);
        if (place->seq == result.seq)
            *place = std::move(result);
        else
            results_.insert(place, std::move(result));
    }
    void forget_below(Sequence low) {
        for (; size() > 0 && results_[forgotten_].seq < low; ++forgotten_) JsonText{}.swap(results_[forgotten_].value);
        if (forgotten_ < results_.size() - forgotten_) return;  // so that each is moved at most once
        results_.erase(results_.begin(), begin());
        forgotten_ = 0;
    }

    friend bool operator==(const SessionResults& a, const SessionResults& b) {
        return std::ranges::equal(a.all(), b.all());
    }

private:
    std::vector<Result>::iterator begin() { return results_.begin() + static_cast<std::ptrdiff_t>(forgotten_); }

    std::vector<Result> results_;
    std::size_t forgotten_ = 0;  // so many at the front are void
};

}  // namespace understudy
