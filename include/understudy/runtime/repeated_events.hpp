// A refusal of each ping would be a line ten times a second, for as long as nobody looks. So what repeats is told once,
// and then how often it came, once a minute.
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

/// Takes the events `Refused` and `Malformed` of a service or client. Equal are those with the same code and sentence,
/// whoever sent them; once there are `max_sentences`, those with the same code.
class RepeatedEvents {
public:
    static constexpr Duration interval = std::chrono::minutes{1};
    static constexpr std::size_t max_sentences = 64;

    bool empty() const { return told_.empty(); }

    /// Whether this event is to be told now. If not it is counted.
    bool is_new(const Event& event, Time now) {
        if (const auto* refused = std::get_if<Refused>(&event)) return is_new('r', *refused, now);
        if (const auto* malformed = std::get_if<Malformed>(&event)) return is_new('m', *malformed, now);
        return true;
    }

    /// Calls `tell` with what came again, when an interval is over; forgets what did not. Costs nothing before.
    template <typename Tell>
    void tell_due(Time now, Tell tell) {
        if (now < due_) return;
        due_ = never;
        for (auto one = told_.begin(); one != told_.end();) {
            auto& [event, more, since] = one->second;
            if (now - since >= interval) {
                if (more == 0) {
                    one = told_.erase(one);
                    continue;
                }
                std::visit([count = std::exchange(more, 0)](auto& last) { last.more = count; }, event);
                since = now;
                tell(std::visit([](const auto& last) { return Event{last}; }, event));
            }
            due_ = std::min(due_, since + interval);
            ++one;
        }
    }

private:
    struct Told {
        std::variant<Refused, Malformed> last;
        std::uint64_t more = 0;
        Time since{};
    };

    template <typename E>
    bool is_new(char kind, const E& event, Time now) {
        auto key = std::string{kind} + std::string{to_string(event.code)};
        if (auto whole = key + ' ' + event.what; told_.contains(whole) || told_.size() < max_sentences)
            key = std::move(whole);
        const auto [told, fresh] = told_.try_emplace(std::move(key), Told{event, 0, now});
        if (fresh) {
            due_ = std::min(due_, now + interval);
            return true;
        }
        told->second.last = event;
        ++told->second.more;
        return false;
    }

    std::map<std::string, Told> told_;
    Time due_ = never;
};

}  // namespace understudy::detail
