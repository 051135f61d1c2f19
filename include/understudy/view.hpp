// The basic types of the protocol: names, numbers, time, and the view. They are plain comparable values. Nothing here
// reads a clock or draws a random number.
#pragma once

#include <algorithm>
#include <charconv>
#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace understudy {

/// The address of a node, which is also the name of a server: `tcp://host:port` or `unix:///path`. For a node that
/// cannot be dialled, it is the reply address that a transport made for its connection.
using Address = std::string;

using Duration = std::chrono::nanoseconds;

/// The clock of the transports. It has no `now()`: state machines get the time as an argument.
struct TransportClock {
    using duration = Duration;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<TransportClock>;
    static constexpr bool is_steady = true;
};
using Time = TransportClock::time_point;

/// A deadline that never comes.
inline constexpr Time never = Time::max();

/// `start + length`. It is `never` if `length` is endless or the sum exceeds the range of the clock.
constexpr Time after(Time start, Duration length) {
    return length >= never - std::max(start, Time{}) ? never : start + length;
}

using ViewNumber = std::uint64_t;
using Index = std::uint64_t;
using Sequence = std::uint64_t;
using Round = std::uint64_t;

/// Identifies one process of a server: a random token that is drawn when the process starts. 0 means none. A new
/// incarnation of a name shows that the old process and its memory are lost.
enum class Incarnation : std::uint64_t { none = 0 };

/// Identifies a view service together with its state: a random token that is drawn when that state is created. 0 means
/// none yet.
enum class ClusterId : std::uint64_t { none = 0 };

/// Names one log entry together with all entries before it. As the `at` of a result it is a fencing token: of two
/// results the later one has the greater position, whichever server is primary.
struct Position {
    ViewNumber view = 0;
    Index index = 0;
    friend auto operator<=>(const Position&, const Position&) = default;
};

/// A session of a client. Its id is the position of the log entry that opened it, and therefore unique (C3).
using SessionId = Position;

/// One server in a view. `synced` is meaningful for a backup: the view service may promote it.
struct Member {
    Address name;
    Incarnation incarnation = Incarnation::none;
    bool synced = false;
    friend auto operator<=>(const Member&, const Member&) = default;
};

/// The roles of the servers in a group: one primary, and backups. Number 0 means that there is no view yet. Within one
/// view only the `synced` flags change, and only from false to true.
struct View {
    ViewNumber number = 0;
    Member primary;
    std::vector<Member> backups;
    ViewNumber forced = 0;  ///< The last view that an operator forced. State from before it may conflict (S3).
    friend auto operator<=>(const View&, const View&) = default;

    /// The backup with that name, or null. O(backups).
    const Member* backup(std::string_view name) const {
        auto found = std::ranges::find(backups, name, &Member::name);
        return found == backups.end() ? nullptr : &*found;
    }
    Member* backup(std::string_view name) { return const_cast<Member*>(std::as_const(*this).backup(name)); }

    /// The member with that name, primary or backup, or null.
    const Member* member(std::string_view name) const {
        return number != 0 && primary.name == name ? &primary : backup(name);
    }

    std::size_t synced_count() const {
        return static_cast<std::size_t>(std::ranges::count(backups, true, &Member::synced));
    }
};

/// Whether `next` is newer than `seen` (S1): it has a higher number, or it is the same view with more backups in sync.
/// A view with the number of `seen` but other members is not newer. It is invalid, and the result is false.
inline bool is_newer(const View& next, const View& seen) {
    if (next.number != seen.number) return next.number > seen.number;
    const auto grown = [](const Member& later, const Member& earlier) {
        return later.name == earlier.name && later.incarnation == earlier.incarnation &&
               later.synced >= earlier.synced;
    };
    return next.synced_count() > seen.synced_count() && next.forced == seen.forced && next.primary == seen.primary &&
           std::ranges::equal(next.backups, seen.backups, grown);
}

/// A view as it travels: with its group, the cluster that decided it, and the interval at which servers ping.
struct ViewInfo {
    std::string group;
    ClusterId cluster = ClusterId::none;
    Duration ping_interval{};
    View view;
    friend auto operator<=>(const ViewInfo&, const ViewInfo&) = default;
};

/// The present role of a replica.
enum class Role { idle, backup, primary };

constexpr std::string_view to_string(Role role) {
    switch (role) {
        case Role::primary: return "primary";
        case Role::backup: return "backup";
        case Role::idle: break;
    }
    return "idle";
}

/// 16 lower-case hexadecimal digits: the form in which tokens travel and are displayed.
inline std::string to_hex(std::uint64_t value) {
    std::string text(16, '0');
    char digits[16];
    auto end = std::to_chars(digits, digits + 16, value, 16).ptr;
    std::copy(digits, end, text.end() - (end - digits));
    return text;
}
inline std::string to_hex(Incarnation token) { return to_hex(static_cast<std::uint64_t>(token)); }
inline std::string to_hex(ClusterId token) { return to_hex(static_cast<std::uint64_t>(token)); }

/// The inverse of `to_hex`. Returns nothing if the text is not 1 to 16 hexadecimal digits.
inline std::optional<std::uint64_t> from_hex(std::string_view text) {
    std::uint64_t value = 0;
    auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    if (fault != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

}  // namespace understudy
