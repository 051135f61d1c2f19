// A replica's batch as the payload of a frame: docs/durability.md has the layout.
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

// The first byte tells what follows, so that a later version can add to it.
enum BatchFlag : std::uint8_t { has_standing = 1 };
// An entry's first byte: its kind, and whether it names a session.
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

inline void put_standing(std::string& out, const HardState& standing) {
    const auto& [group, cluster, ping_interval, view] = standing.info;
    put_string(out, standing.name);
    put_string(out, group);
    put_varint(out, static_cast<std::uint64_t>(cluster));
    put_varint(out, static_cast<std::uint64_t>(ping_interval.count()));
    put_varint(out, view.number);
    put_varint(out, view.forced);
    put_member(out, view.primary);
    put_varint(out, view.backups.size());
    for (const auto& backup : view.backups) put_member(out, backup);
    const bool differs = standing.state_view != 0 && standing.state_view != view.number;
    put_varint(out, standing.lives.size() + (differs ? 2 : 0));
    // As two more lives, for programs that know of no such number: one that is none, and one that nobody will name.
    if (differs) put_varint(out, static_cast<std::uint64_t>(Incarnation::none)), put_varint(out, standing.state_view);
    for (const auto life : standing.lives) put_varint(out, static_cast<std::uint64_t>(life));
}
inline HardState read_standing(VarintReader& in) {
    HardState standing;
    auto& [group, cluster, ping_interval, view] = standing.info;
    standing.name = in.string();
    group = in.string();
    cluster = ClusterId{in.number()};
    ping_interval = Duration{static_cast<Duration::rep>(in.number())};
    view.number = in.number();
    view.forced = in.number();
    view.primary = read_member(in);
    for (auto left = in.number(); left > 0 && in.ok(); --left) view.backups.push_back(read_member(in));
    auto& lives = standing.lives;
    for (auto left = in.number(); left > 0 && in.ok(); --left) lives.push_back(Incarnation{in.number()});
    if (lives.size() < 2 || lives.front() != Incarnation::none) return standing;
    standing.state_view = static_cast<ViewNumber>(lives[1]);
    lives.erase(lives.begin(), lives.begin() + 2);
    return standing;
}

inline void put_entry(std::string& out, const Entry& entry, ViewNumber view_before) {
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

/// Appends what a frame holds of a batch, whose entries are those of `log`. O(bytes of the entries).
inline void encode_batch(std::string& out, const JournalBatch& batch, const replica::Log& log) {
    out += static_cast<char>(batch.standing ? detail::has_standing : 0);
    if (batch.standing) detail::put_standing(out, *batch.standing);
    for (const auto number : {batch.prev.view, batch.prev.index, batch.commit, batch.through - batch.prev.index})
        put_varint(out, number);
    auto view = batch.prev.view;
    for (auto index = batch.prev.index + 1; index <= batch.through; ++index) {
        const auto& entry = log[index];
        detail::put_entry(out, entry, view);
        view = entry.at.view;
    }
}

/// The inverse: gives the batch without its number and its pieces, and in `entries` those that it names, whose commands
/// stand in the payload. Nothing if the payload is not of that form.
inline std::optional<JournalBatch> decode_batch(std::string_view payload, std::vector<EntryView>& entries) {
    JournalBatch batch;
    VarintReader in{payload};
    const auto flags = in.number();
    if (flags > detail::has_standing) return std::nullopt;
    if (flags == detail::has_standing) batch.standing = detail::read_standing(in);
    batch.prev.view = in.number();
    batch.prev.index = in.number();
    batch.commit = in.number();
    const auto count = in.number();
    if (!in.ok() || count > in.left() / 3) return std::nullopt;  // an entry takes three bytes at least
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
