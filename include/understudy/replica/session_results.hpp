// The results of the commands of one session. They are retained for as long as the client may repeat a command, so that
// a repeated command returns the first result and has no second effect (rules S10, C3).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/base/intrusive_ptr.hpp>
#include <understudy/protocol/message.hpp>
#include <understudy/replica/text_fields.hpp>

namespace understudy::replica {

/// One result of a store, as JSON text. Most are short, such as `null`: these lie in the object itself. Copies of a
/// longer one share it. Not thread-safe, not even distinct copies.
class ResultText {
public:
    ResultText() = default;
    ResultText(std::string_view text) {
        if (text.size() > longest_own)
            long_ = understudy::detail::IntrusivePtr{new Shared{0, JsonText{text}}};
        else
            size_ = static_cast<std::uint8_t>(text.copy(own_.data(), text.size()));
    }
    ResultText(const JsonText& text) : ResultText{std::string_view{text}} {}

    /// Whether copies share the text.
    bool shared() const { return bool{long_}; }
    std::string_view text() const { return {shared() ? long_->text.data() : own_.data(), size()}; }
    std::size_t size() const { return shared() ? long_->text.size() : size_; }
    friend bool operator==(const ResultText& a, const ResultText& b) { return a.text() == b.text(); }
    friend bool operator==(const ResultText& a, std::string_view b) { return a.text() == b; }

private:
    struct Shared {
        std::uint32_t owners = 0;
        JsonText text;
        static void destroy(Shared* shared) { delete shared; }
    };
    static constexpr std::size_t longest_own = 23;

    understudy::detail::IntrusivePtr<Shared> long_;
    std::array<char, longest_own> own_{};
    std::uint8_t size_ = 0;
};

/// The results of a session by sequence number. Mostly they are recorded in the order of their numbers and dropped from
/// the lowest on: then recording, dropping, and finding that a number is new take amortized O(1). Otherwise an
/// operation takes O(log n).
///
/// A sorted vector (`row_`) holds almost all results. A result that arrives far out of order goes into a map
/// (`strays_`), so that the results behind it need not be moved.
class SessionResults {
public:
    struct Result {
        Sequence seq = 0;
        Position at;
        ResultText value;
        friend bool operator==(const Result&, const Result&) = default;

        /// Its length in bytes in the text of a snapshot.
        std::size_t text_size() const {
            return digits(seq) + digits(at.view) + digits(at.index) + 3 + size_of_bytes(value.size());
        }
        /// Its size in bytes where results are bounded in bytes (C6): about the memory that it takes.
        std::size_t bytes() const { return text_size() + overhead; }
    };
    static constexpr std::size_t overhead = 64;

    std::size_t size() const { return row().size() + strays_.size(); }
    /// The length in bytes of all results in the text of a snapshot. O(1).
    std::size_t text_size() const { return text_size_; }
    /// The sum of `Result::bytes` of all results. O(1).
    std::size_t bytes() const { return text_size_ + overhead * size(); }
    /// The same of the results below `low`. O(results below `low`).
    std::size_t bytes_below(Sequence low) const {
        std::size_t sum = 0;
        for (const auto& result : row()) {
            if (result.seq >= low) break;
            sum += result.bytes();
        }
        for (auto stray = strays_.begin(); stray != strays_.end() && stray->first < low; ++stray)
            sum += stray->second.bytes();
        return sum;
    }

    /// Whether a result has a number below `low`. O(1).
    bool has_below(Sequence low) const {
        return (!row().empty() && row().front().seq < low) || (!strays_.empty() && strays_.begin()->first < low);
    }
    /// The result with this number; null if there is none.
    const Result* find(Sequence seq) const {
        if (!row().empty() && seq <= row_.back().seq) {
            const auto found = std::ranges::lower_bound(row(), seq, {}, &Result::seq);
            if (found->seq == seq) return &*found;
        }
        if (strays_.empty()) return nullptr;
        const auto stray = strays_.find(seq);
        return stray == strays_.end() ? nullptr : &stray->second;
    }
    /// The result with the lowest number that is at least `seq`; null if there is none. O(log n).
    const Result* from(Sequence seq) const {
        const auto in_row = std::ranges::lower_bound(row(), seq, {}, &Result::seq);
        const auto stray = strays_.lower_bound(seq);
        if (stray == strays_.end()) return in_row == row().end() ? nullptr : &*in_row;
        return in_row == row().end() || stray->first < in_row->seq ? &stray->second : &*in_row;
    }
    /// Adds a result. There must be none with its number yet.
    void record(Result result) {
        text_size_ += result.text_size();
        if (row().empty() || result.seq > row_.back().seq) return row_.push_back(std::move(result));
        const auto place = std::ranges::lower_bound(row(), result.seq, {}, &Result::seq) - row().begin();
        const auto at = row_.begin() + static_cast<std::ptrdiff_t>(forgotten_) + place;
        if (row_.end() - at <= nearly_in_order)
            row_.insert(at, std::move(result));
        else
            strays_.emplace(result.seq, std::move(result));
    }
    /// Drops the results below `low`. They are removed from the vector only when at least half of it is void, so that
    /// one result at most is moved for each that is dropped: amortized O(1) for each.
    void forget_below(Sequence low) {
        while (!strays_.empty() && strays_.begin()->first < low) {
            text_size_ -= strays_.begin()->second.text_size();
            strays_.erase(strays_.begin());
        }
        for (; !row().empty() && row().front().seq < low; ++forgotten_) {
            text_size_ -= row_[forgotten_].text_size();
            if (row_[forgotten_].value.shared()) row_[forgotten_].value = {};  // else it has no memory to give back
        }
        if (forgotten_ < row().size()) return;  // too few to pay for moving the others
        row_.erase(row_.begin(), row_.begin() + static_cast<std::ptrdiff_t>(std::exchange(forgotten_, 0)));
        if (row_.capacity() > much_room && row_.size() < row_.capacity() / 8) row_.shrink_to_fit();
    }

    /// Calls `visit` with each result, in the order of their numbers.
    template <typename Visit>
    void each(Visit visit) const {
        for (auto* result = from(0); result; result = result->seq == ~Sequence{0} ? nullptr : from(result->seq + 1))
            visit(*result);
    }

    /// Equal if the results are: how they are divided between vector and map does not matter.
    friend bool operator==(const SessionResults& a, const SessionResults& b) {
        bool same = a.size() == b.size();
        a.each([&](const Result& result) {
            const auto* other = same ? b.find(result.seq) : nullptr;
            same = other && *other == result;
        });
        return same;
    }

private:
    // A result is inserted into the vector if at most this many follow it there; else it goes into the map.
    static constexpr std::ptrdiff_t nearly_in_order = 256;
    static constexpr std::size_t much_room = 1024;  // results; a smaller vector keeps its memory

    /// The part of the vector that is not void.
    std::span<const Result> row() const { return std::span{row_}.subspan(forgotten_); }

    std::vector<Result> row_;            // sorted by number
    std::size_t forgotten_ = 0;          // this many at the front of `row_` were dropped and are void
    std::map<Sequence, Result> strays_;  // results that arrived far out of order
    std::size_t text_size_ = 0;
};

/// The results of a session, copied on write: copies share them until one copy is changed. So a snapshot of all
/// sessions costs one pointer for each session. Not thread-safe, not even distinct copies that share results.
class SharedResults {
public:
    const SessionResults& operator*() const {
        static const SessionResults none;
        return results_ ? *results_ : none;
    }
    const SessionResults* operator->() const { return &**this; }
    std::size_t size() const { return results_ ? results_->size() : 0; }
    std::size_t bytes() const { return results_ ? results_->bytes() : 0; }
    const SessionResults::Result* find(Sequence seq) const { return results_ ? results_->find(seq) : nullptr; }

    void record(SessionResults::Result&& result) { own().record(std::move(result)); }
    /// As `SessionResults::forget_below`, but copies nothing if nothing is below `low`.
    void forget_below(Sequence low) {
        if (results_ && results_->has_below(low)) own().forget_below(low);
    }

    friend bool operator==(const SharedResults& a, const SharedResults& b) {
        return a.results_ == b.results_ || *a == *b;
    }

private:
    /// The results for a change: first copied if another copy shares them.
    SessionResults& own() {
        if (!results_)
            results_ = std::make_shared<SessionResults>();
        else if (results_.use_count() > 1)
            results_ = std::make_shared<SessionResults>(*results_);
        return *results_;
    }
    std::shared_ptr<SessionResults> results_;  // null: no result yet
};

}  // namespace understudy::replica
