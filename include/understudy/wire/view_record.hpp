// The JSON form of the record that a view service stores, written with the field lists of the wire. It is never sent.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <understudy/view_service/record.hpp>
#include <understudy/wire/fields.hpp>
#include <understudy/wire/view.hpp>

namespace understudy::wire {

/// The incarnations of each server, written as {"name": ["16 hexadecimal digits", ...], ...}.
using Lives = std::map<Address, std::vector<Incarnation>>;

inline void write(Writer& to, const Lives& incarnations) { write_pairs(to, incarnations); }
inline bool read(Reader& in, Lives& incarnations) {
    if (in.scan.peek() != Kind::object) return in.refuse("an object");
    incarnations.clear();
    return in.scan.members([&](std::string_view name) {
        const std::string server{name};
        return read(in, incarnations[server]) || in.within(wire::quoted(server));
    });
}

/// The newest view that each member had in its journal (R5), written as {"name": number, ...}.
using Noted = std::map<Address, ViewNumber, std::less<>>;

inline void write(Writer& to, const Noted& noted) { write_pairs(to, noted); }
inline bool read(Reader& in, Noted& noted) {
    if (in.scan.peek() != Kind::object) return in.refuse("an object");
    noted.clear();
    return in.scan.members([&](std::string_view name) {
        return read(in, noted[std::string{name}]) || in.within(wire::quoted(name));
    });
}

void fields(auto& visit, Like<view_service::GroupRecord> auto& group) {
    visit.required("view", group.info);
    visit.required("lives", group.incarnations);
    visit.optional("noted", group.noted);
    visit.optional("named", group.named);
    visit.optional("named_by", group.named_by);
}
void fields(auto& visit, Like<view_service::ViewChanges> auto& changes) {
    visit.required("cluster", changes.cluster);
    visit.required("dead_after_ms", changes.dead_after);
    visit.required("groups", changes.groups);
    visit.optional("gone", changes.gone);
    visit.optional("removed", changes.removed);
}

}  // namespace understudy::wire
