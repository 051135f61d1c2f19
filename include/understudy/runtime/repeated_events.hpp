// Limits repeated events. A server whose pings are refused would otherwise fill the log with ten lines a second.
// Repetitions are counted and emitted once a minute.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <variant>

#include <understudy/event.hpp>
#include <understudy/view.hpp>

namespace understudy::detail {

/// Filters the events `Refused` and `Malformed` of one service or client. Two events of the same type are similar if
/// they have the same code and sentence, whichever peer they are about. Once there are `max_sentences`, events with a
/// new sentence are similar if they have the same code. So the table stays small although peers can choose parts of the
/// sentences.
class RepeatedEvents {
public:
    static constexpr Duration interval = std::chrono::minutes{1};
    static constexpr std::size_t max_sentences = 64;

    bool empty() const { return emitted_.empty(); }

    /// Whether to emit this event now. Otherwise it is counted.
    bool is_new(const Event& event, Time now) {
        if (const auto* refused = std::get_if<Refused>(&event)) return is_new('r', *refused, now);
        if (const auto* malformed = std::get_if<Malformed>(&event)) return is_new('m', *malformed, now);
        return true;
    }

    /// Calls `emit` with each event that was repeated, once its interval is over. An event that was not repeated in its
    /// interval is dropped from the table. Does nothing before the first interval ends.
    template <typename Emit>
    void emit_due(Time now, Emit emit) {
        if (now < due_) return;
        due_ = never;
        for (auto one = emitted_.begin(); one != emitted_.end();) {
            auto& [event, more, since] = one->second;
            if (now - since >= interval) {
                if (more == 0) {
                    one = emitted_.erase(one);
                    continue;
                }
                std::visit([count = std::exchange(more, 0)](auto& last) { last.more = count; }, event);
                since = now;
                emit(std::visit([](const auto& last) { return Event{last}; }, event));
            }
            due_ = std::min(due_, since + interval);
            ++one;
        }
    }

private:
    struct Emitted {
        std::variant<Refused, Malformed> last;
        std::uint64_t more = 0;
        Time since{};
    };

    template <typename E>
    bool is_new(char kind, const E& event, Time now) {
        auto key = std::string{kind} + std::string{to_string(event.code)};
        if (auto whole = key + ' ' + event.what; emitted_.contains(whole) || emitted_.size() < max_sentences)
            key = std::move(whole);
        const auto [emitted, fresh] = emitted_.try_emplace(std::move(key), Emitted{event, 0, now});
        if (fresh) {
            due_ = std::min(due_, now + interval);
            return true;
        }
        emitted->second.last = event;
        ++emitted->second.more;
        return false;
    }

    std::map<std::string, Emitted> emitted_;
    Time due_ = never;
};

}  // namespace understudy::detail
