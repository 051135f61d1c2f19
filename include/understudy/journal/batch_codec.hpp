// Encodes a replica's batch as the payload of a frame, and decodes it. docs/durability.md describes the layout.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/journal/varint.hpp>
#include <understudy/protocol/journal_batch.hpp>
#include <understudy/replica/log.hpp>

namespace understudy::journal {

namespace detail {

// Flags in the first byte of a payload: which parts follow. A later version can add flags; this one refuses those that
// it does not know.
enum BatchFlag : std::uint8_t { has_hard_state = 1 };
// An entry's first byte has the kind in its low four bits, and this bit if the entry belongs to a session.
inline constexpr std::uint8_t has_session = 0x10;

inline void put_member(std::string& out, const Member& member) {
    put_string(out, member.name);
    put_varint(out, static_cast<std::uint64_t>(member.incarnation));
    put_varint(out, member.synced);
}
inline Member read_member(VarintReader& in) {
    Member member;
    member.name = in.string();
    member.incarnation = Incarnation{in.number()};
    member.synced = in.number() != 0;
    return member;
}

// `hard_state` is the hard state.
inline void put_hard_state(std::string& out, const HardState& hard_state) {
    const auto& [group, cluster, ping_interval, view] = hard_state.info;
    put_string(out, hard_state.name);
    put_string(out, group);
    put_varint(out, static_cast<std::uint64_t>(cluster));
    put_varint(out, static_cast<std::uint64_t>(ping_interval.count()));
    put_varint(out, view.number);
    put_varint(out, view.forced);
    put_member(out, view.primary);
    put_varint(out, view.backups.size());
    for (const auto& backup : view.backups) put_member(out, backup);
    const bool differs = hard_state.state_view != 0 && hard_state.state_view != view.number;
    put_varint(out, hard_state.incarnations.size() + (differs ? 2 : 0));
    // `state_view` is stored as two more incarnations in front of the list: `Incarnation::none`, and the view number.
    // An older program does not know this number; it reads two incarnations that no view names, and goes on.
    if (differs) put_varint(out, static_cast<std::uint64_t>(Incarnation::none)), put_varint(out, hard_state.state_view);
    for (const auto incarnation : hard_state.incarnations) put_varint(out, static_cast<std::uint64_t>(incarnation));
}
inline HardState read_hard_state(VarintReader& in) {
    HardState hard_state;
    auto& [group, cluster, ping_interval, view] = hard_state.info;
    hard_state.name = in.string();
    group = in.string();
    cluster = ClusterId{in.number()};
    ping_interval = Duration{static_cast<Duration::rep>(in.number())};
    view.number = in.number();
    view.forced = in.number();
    view.primary = read_member(in);
    for (auto left = in.number(); left > 0 && in.ok(); --left) view.backups.push_back(read_member(in));
    auto& incarnations = hard_state.incarnations;
    for (auto left = in.number(); left > 0 && in.ok(); --left) incarnations.push_back(Incarnation{in.number()});
    if (incarnations.size() < 2 || incarnations.front() != Incarnation::none) return hard_state;
    hard_state.state_view = static_cast<ViewNumber>(incarnations[1]);
    incarnations.erase(incarnations.begin(), incarnations.begin() + 2);
    return hard_state;
}

// The view is stored as the difference to the view of the entry before. The index is not stored: entries are
// consecutive.
inline void put_entry(std::string& out, const EntryView& entry, ViewNumber view_before) {
    const bool session = entry.session != SessionId{};
    out += static_cast<char>(static_cast<std::uint8_t>(entry.kind) | (session ? has_session : 0));
    put_varint(out, entry.at.view - view_before);
    if (session)
        for (const auto number : {entry.session.view, entry.session.index, entry.seq, entry.low})
            put_varint(out, number);
    put_string(out, entry.command);
}
inline bool read_entry(VarintReader& in, Position before, EntryView& entry) {
    const auto head = in.number();
    const auto kind = head & 0xF;
    if (kind > static_cast<std::uint64_t>(EntryKind::close) || (head & ~std::uint64_t{0xF | has_session}) != 0)
        return false;
    entry.kind = EntryKind{static_cast<std::uint8_t>(kind)};
    entry.at = {before.view + in.number(), before.index + 1};
    if ((head & has_session) != 0)
        for (auto* number : {&entry.session.view, &entry.session.index, &entry.seq, &entry.low}) *number = in.number();
    entry.command = in.string();
    return in.ok();
}

}  // namespace detail

/// Appends the encoded batch to `out`. The entries after `batch.prev`, up to `batch.through`, are taken from `log`. The
/// batch's number and its snapshot pieces are not encoded. O(bytes of the entries).
inline void encode_batch(std::string& out, const JournalBatch& batch, const replica::Log& log) {
    out += static_cast<char>(batch.hard_state ? detail::has_hard_state : 0);
    if (batch.hard_state) detail::put_hard_state(out, *batch.hard_state);
    for (const auto number : {batch.prev.view, batch.prev.index, batch.commit, batch.through - batch.prev.index})
        put_varint(out, number);
    auto view = batch.prev.view;
    for (const auto& entry : log.share(batch.prev.index, batch.through)) {
        detail::put_entry(out, entry, view);
        view = entry.at.view;
    }
}

/// The inverse of `encode_batch`. Returns the batch without its number and its snapshot pieces, and puts its entries
/// into `entries`; their commands refer to the bytes of `payload`. Returns `nullopt` if the payload is malformed.
inline std::optional<JournalBatch> decode_batch(std::string_view payload, std::vector<EntryView>& entries) {
    JournalBatch batch;
    VarintReader in{payload};
    const auto flags = in.number();
    if (flags > detail::has_hard_state) return std::nullopt;
    if (flags == detail::has_hard_state) batch.hard_state = detail::read_hard_state(in);
    batch.prev.view = in.number();
    batch.prev.index = in.number();
    batch.commit = in.number();
    const auto count = in.number();
    if (!in.ok() || count > in.left() / 3) return std::nullopt;  // an entry takes at least three bytes
    entries.clear();
    auto before = batch.prev;
    for (auto left = count; left > 0; --left) {
        if (!detail::read_entry(in, before, entries.emplace_back())) return std::nullopt;
        before = entries.back().at;
    }
    if (!in.ok() || in.left() != 0) return std::nullopt;
    batch.through = before.index;
    return batch;
}

}  // namespace understudy::journal
