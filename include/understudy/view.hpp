// The nouns of the protocol: names, numbers, time, and the view.
// Everything here is a plain comparable value; nothing reads a clock or draws a random number.
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

/// Where a party is reached, which is also a server's name: `tcp://host:port`, `unix:///path`,
/// or, for a party that cannot be dialled, the reply address that a transport made for its connection.
using Address = std::string;

using Duration = std::chrono::nanoseconds;

/// The clock that transports own. It has no `now()`: a machine is told the time.
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

/// `start + length`, where an endless length or a sum beyond the clock's range means `never`.
constexpr Time after(Time start, Duration length) {
    return length >= never - std::max(start, Time{}) ? never : start + length;
}

using ViewNumber = std::uint64_t;
using Index = std::uint64_t;
using Sequence = std::uint64_t;
using Round = std::uint64_t;

/// Which life of a server: a random token drawn when its process starts; 0 means none.
enum class Incarnation : std::uint64_t { none = 0 };

/// Which view service, with its state: a random token drawn when that state was created; 0 means none yet.
enum class ClusterId : std::uint64_t { none = 0 };

/// Names one log entry and with it all before it. As the `at` of a result it is a fencing token:
/// of two results the later one compares greater, whoever was primary.
struct Position {
    ViewNumber view = 0;
    Index index = 0;
    friend auto operator<=>(const Position&, const Position&) = default;
};

/// A client session is named by the position of the entry that opened it, so it is unique (rule C3).
using SessionId = Position;

/// One server in a view. `synced` says of a backup that the view service may promote it.
struct Member {
    Address name;
    Incarnation incarnation = Incarnation::none;
    bool synced = false;
    friend auto operator<=>(const Member&, const Member&) = default;
};

/// Who is primary and who is backup. Number 0 is no view: nobody is either.
/// Within one view only `synced` flags change, and only from false to true.
struct View {
    ViewNumber number = 0;
    Member primary;
    std::vector<Member> backups;
    ViewNumber forced = 0;  ///< The last view that an operator forced; state from before it may conflict (S3).
    friend auto operator<=>(const View&, const View&) = default;

    /// The backup of that name, or null.
    const Member* backup(std::string_view name) const {
        auto found = std::ranges::find(backups, name, &Member::name);
        return found == backups.end() ? nullptr : &*found;
    }
    Member* backup(std::string_view name) { return const_cast<Member*>(std::as_const(*this).backup(name)); }

    /// The member of that name, primary or backup, or null.
    const Member* member(std::string_view name) const {
        return number != 0 && primary.name == name ? &primary : backup(name);
    }

    std::size_t synced_count() const {
        return static_cast<std::size_t>(std::ranges::count(backups, true, &Member::synced));
    }
};

/// Whether `next` tells more than `seen`: a higher number, or the same view with more backups in sync (rule S1).
/// What has the number of `seen` and other members is not newer but wrong.
inline bool is_newer(const View& next, const View& seen) {
    if (next.number != seen.number) return next.number > seen.number;
    const auto grown = [](const Member& later, const Member& earlier) {
        return later.name == earlier.name && later.incarnation == earlier.incarnation &&
               later.synced >= earlier.synced;
    };
    return next.synced_count() > seen.synced_count() && next.forced == seen.forced && next.primary == seen.primary &&
           std::ranges::equal(next.backups, seen.backups, grown);
}

/// A view as it travels: with the group that it governs, the cluster that decided it and the interval to ping at.
struct ViewInfo {
    std::string group;
    ClusterId cluster = ClusterId::none;
    Duration ping_interval{};
    View view;
    friend auto operator<=>(const ViewInfo&, const ViewInfo&) = default;
};

/// What a replica is at the moment.
enum class Role { idle, backup, primary };

constexpr std::string_view to_string(Role role) {
    switch (role) {
        case Role::primary: return "primary";
        case Role::backup: return "backup";
        case Role::idle: break;
    }
    return "idle";
}

/// 16 lower-case hexadecimal digits, the form in which tokens travel and are shown.
inline std::string to_hex(std::uint64_t value) {
    std::string text(16, '0');
    char digits[16];
    auto end = std::to_chars(digits, digits + 16, value, 16).ptr;
    std::copy(digits, end, text.end() - (end - digits));
    return text;
}
inline std::string to_hex(Incarnation token) { return to_hex(static_cast<std::uint64_t>(token)); }
inline std::string to_hex(ClusterId token) { return to_hex(static_cast<std::uint64_t>(token)); }

/// The inverse of `to_hex`; nothing if the text is not 1 to 16 hexadecimal digits.
inline std::optional<std::uint64_t> from_hex(std::string_view text) {
    std::uint64_t value = 0;
    auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    if (fault != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

}  // namespace understudy
