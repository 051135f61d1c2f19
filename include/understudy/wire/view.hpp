// The JSON form of a view. In memory each member of a view has its name, incarnation and synced flag. On the wire these
// are lists of names and one object with the incarnations, so they are converted and checked here.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/view.hpp>
#include <understudy/wire/fields.hpp>

namespace understudy::wire {

/// The incarnation of each member of a view, written as {"name": "16 hexadecimal digits", ...}.
using Incarnations = std::vector<std::pair<Address, Incarnation>>;

inline void write(Writer& to, const Incarnations& list) { write_pairs(to, list); }
inline bool read(Reader& in, Incarnations& list) {
    if (in.scan.peek() != Kind::object) return in.refuse("an object");
    list.clear();
    return in.scan.members([&](std::string_view name) {
        auto& [member, incarnation] = list.emplace_back(name, Incarnation::none);
        return read(in, incarnation) || in.within(wire::quoted(member));
    });
}

/// A view as it is read: with the members of its JSON object.
struct FlatView {
    std::string group;
    ClusterId cluster = ClusterId::none;
    Duration ping_interval{};
    ViewNumber viewnum = 0;
    std::optional<Address> primary;
    std::vector<Address> backups;
    std::vector<Address> synced;
    Incarnations incarnations;
    ViewNumber forced = 0;
};

// Parts of a view as they are written: nothing is copied, since views are in the answers to pings.

/// The primary's name. View 0 has none.
struct PrimaryName {
    const View& view;
    bool has_value() const { return view.number != 0; }
};
inline void write(Writer& to, PrimaryName it) { to.string(it.view.primary.name); }

/// The names of all backups, or only of the synced ones.
struct BackupNames {
    const View& view;
    bool only_synced;
};
inline void write(Writer& to, BackupNames it) {
    to.put("[");
    for (bool first = true; const auto& backup : it.view.backups) {
        if (it.only_synced && !backup.synced) continue;
        if (!std::exchange(first, false)) to.put(",");
        to.string(backup.name);
    }
    to.put("]");
}

/// The incarnation of each member. View 0 has no primary.
struct MemberIncarnations {
    const View& view;
};
inline void write(Writer& to, MemberIncarnations it) {
    bool first = true;
    const auto write_one = [&](const Member& member) {
        if (!std::exchange(first, false)) to.put(",");
        to.string(member.name);
        to.put(":");
        write(to, member.incarnation);
    };
    to.put("{");
    if (it.view.number != 0) write_one(it.view.primary);
    for (const auto& backup : it.view.backups) write_one(backup);
    to.put("}");
}

/// A view as it is written.
struct WrittenView {
    explicit WrittenView(const ViewInfo& info)
        : group{info.group},
          cluster{info.cluster},
          ping_interval{info.ping_interval},
          viewnum{info.view.number},
          primary{info.view},
          backups{info.view, false},
          synced{info.view, true},
          incarnations{info.view},
          forced{info.view.forced} {}

    const std::string& group;
    ClusterId cluster;
    Duration ping_interval;
    ViewNumber viewnum;
    PrimaryName primary;
    BackupNames backups, synced;
    MemberIncarnations incarnations;
    ViewNumber forced;
};

template <typename T>
concept ViewMembers = Like<T, FlatView> || Like<T, WrittenView>;
void fields(auto& visit, ViewMembers auto& view) {
    visit.required("group", view.group);
    visit.required("cluster", view.cluster);
    visit.required("ping_interval", view.ping_interval);
    visit.required("viewnum", view.viewnum);
    visit.optional("primary", view.primary);
    visit.required("backups", view.backups);
    visit.required("synced", view.synced);
    visit.required("incarnations", view.incarnations);
    visit.optional("forced", view.forced);
}

/// Writes a view. View 0 means that there is no view; it has neither a primary nor incarnations.
inline void write(Writer& to, const ViewInfo& info) { write(to, WrittenView{info}); }

inline bool lacks_incarnation(Reader& in, const Address& name) {
    return in.complain("no incarnation of " + wire::quoted(name)) || in.within("incarnations");
}

/// Reads a view and refuses one that contradicts itself: a primary missing in a view other than 0, a server that is a
/// member twice, a member without an incarnation, or a synced name that is no backup or repeated. Incarnations of other
/// names are ignored. The lists are sorted, so that even hostile input takes O(n log n) and not quadratic time.
inline bool read(Reader& in, ViewInfo& info) {
    FlatView flat;
    if (!read(in, flat)) return false;
    if (flat.primary.has_value() != (flat.viewnum != 0) || (flat.viewnum == 0 && !flat.backups.empty()))
        return in.complain("expected a primary in every view but 0, and no backups in that one");

    std::ranges::sort(flat.incarnations);
    const auto member_of = [&](const Address& name, bool synced) -> std::optional<Member> {
        auto found = std::ranges::lower_bound(flat.incarnations, name, {}, &Incarnations::value_type::first);
        if (found == flat.incarnations.end() || found->first != name) return std::nullopt;
        return Member{name, found->second, synced};
    };
    info = {flat.group, flat.cluster, flat.ping_interval, {flat.viewnum, {}, {}, flat.forced}};
    std::vector<Address> names = flat.backups;
    if (flat.primary) {
        auto primary = member_of(*flat.primary, false);
        if (!primary) return lacks_incarnation(in, *flat.primary);
        info.view.primary = std::move(*primary);
        names.push_back(*flat.primary);
    }
    std::ranges::sort(names);
    if (auto twice = std::ranges::adjacent_find(names); twice != names.end())
        return in.complain(wire::quoted(*twice) + " is a member twice");

    std::ranges::sort(flat.synced);
    std::size_t synced = 0;
    for (const auto& name : flat.backups) {
        auto backup = member_of(name, std::ranges::binary_search(flat.synced, name));
        if (!backup) return lacks_incarnation(in, name);
        synced += backup->synced;
        info.view.backups.push_back(std::move(*backup));
    }
    return synced == flat.synced.size() || in.complain("expected names of backups, each once") || in.within("synced");
}

/// A reference to a view: its number, or the whole view for a receiver that may not have it.
inline void write(Writer& to, const ViewRef& view) { view.whole ? write(to, *view.whole) : write(to, view.number); }
inline bool read(Reader& in, ViewRef& view) {
    const auto kind = in.scan.peek();
    if (kind != Kind::number && kind != Kind::object) return in.refuse("a view's number or a view");
    if (kind == Kind::number) return read(in, view.number);
    if (!read(in, view.whole.emplace())) return false;
    view.number = view.whole->view.number;
    return true;
}

}  // namespace understudy::wire
