// Targets: snapshots, of the key/value store and of a replica with its sessions. Arbitrary bytes are either refused
// with an error text or restored to a state whose own snapshot restores to the same state; a true snapshot restores to
// the state that it was taken from, however it is split.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/base/check.hpp>
#include <understudy/kv_store.hpp>
#include <understudy/replica/snapshot_transfer.hpp>
#include <understudy/wire/typed_store.hpp>

#include "tests/fuzz/bytes.hpp"

namespace understudy::fuzz {

using namespace protocol;
using namespace replica;

namespace detail {

using KvText = wire::TypedStore<KvStore>;
using Transfer = OutgoingSnapshot<KvText>;
using State = ReplicatedState<KvText>;

template <typename Snapshot>
std::string read_all(Snapshot snapshot, std::size_t step) {
    std::string text;
    for (auto piece = snapshot.read(step); !piece.empty(); piece = snapshot.read(step)) {
        UNDERSTUDY_CHECK(piece.size() <= step);
        text += piece;
    }
    return text;
}

/// The error, or an empty string. `cuts` as in frame.hpp.
inline std::string restore(KvText& store, std::string_view bytes, std::string_view cuts) {
    auto wrong = store.restore_begin();
    for (std::size_t i = 0; wrong.empty() && !bytes.empty(); ++i) {
        const std::size_t wanted = cuts.empty() ? 0 : static_cast<unsigned char>(cuts[i % cuts.size()]);
        const auto piece = bytes.substr(0, wanted == 0 ? bytes.npos : wanted);
        bytes.remove_prefix(piece.size());
        wrong = store.restore_chunk(piece);
    }
    return wrong.empty() ? store.restore_end() : wrong;
}

inline void restore_any(std::string_view bytes, std::string_view cuts) {
    KvText store, whole;
    const auto wrong = restore(store, bytes, cuts);
    UNDERSTUDY_CHECK(wrong == restore(whole, bytes, {}));
    if (!wrong.empty()) {
        UNDERSTUDY_CHECK(store.store().size() == 0 && wrong.starts_with("restore: "));
        return;
    }
    UNDERSTUDY_CHECK(store == whole);
    const auto text = read_all(store.snapshot(), 4096);
    KvText copy;
    UNDERSTUDY_CHECK(restore(copy, text, cuts).empty() && copy.store() == store.store());
    UNDERSTUDY_CHECK(read_all(copy.snapshot(), 3) == text);
}

/// A state that a group can reach.
inline State build_state(Bytes& in) {
    State state{KvText{}};
    for (auto entries = in.below(64); entries > 0; --entries) {
        Entry entry{{1 + state.log.last().index / 16, state.log.last().index + 1}, {}, {}, 0, 0, {}};
        entry.kind = in.pick({EntryKind::command, EntryKind::command, EntryKind::open, EntryKind::close});
        if (in.one_in(2)) {
            const auto index = in.below(16);
            entry.session = {1 + (index == 0 ? 0 : (index - 1) / 16), index};
        }
        entry.seq = in.number();
        entry.low = in.number();
        const std::string key{in.take(in.below(6))}, value{in.take(in.below(20))};
        if (entry.kind == EntryKind::command)
            entry.command = in.one_in(4) ? KvStore::encode_command(kv::Erase{key})
                                         : KvStore::encode_command(kv::Append{key, value});
        state.log.append(entry);
        ++state.commit;
        state.apply_next(Time{});
    }
    UNDERSTUDY_CHECK(state.store_failure.empty());
    return state;
}

inline std::vector<std::string> chunks_of(const State& state, std::size_t size) {
    Transfer transfer{state, Incarnation{1}};
    std::vector<std::string> chunks;
    for (std::uint64_t n = 0; transfer.can_send(n); ++n) chunks.push_back(transfer.chunk(n, size));
    UNDERSTUDY_CHECK(!chunks.empty() && chunks.back().empty() && transfer.is_last(chunks.size() - 1));
    return chunks;
}

/// The error, or an empty string.
inline std::string install(State& state, const std::vector<std::string>& chunks, Position at) {
    IncomingSnapshot<KvText> incoming{{Incarnation{1}, at}, state.empty};
    for (const auto& chunk : chunks)
        if (auto wrong = incoming.feed(chunk, &chunk == &chunks.back()); !wrong.empty()) return wrong;
    incoming.finish(state);
    return {};
}

}  // namespace detail

/// The input is used as it is: first the sizes of the pieces, then the snapshot.
inline void fuzz_snapshot(std::string_view bytes) {
    Bytes in{bytes};
    const auto cuts = in.take(in.below(4));
    detail::restore_any(in.rest(), cuts);

    detail::State state{detail::KvText{}};  // the same bytes with a session table before the store
    std::vector<std::string> chunks;
    for (auto left = in.rest(); !left.empty(); left.remove_prefix(std::min<std::size_t>(left.size(), 16)))
        chunks.emplace_back(left.substr(0, 16));
    chunks.emplace_back();
    if (const auto wrong = detail::install(state, chunks, {1, 9}); !wrong.empty()) {
        UNDERSTUDY_CHECK(state == detail::State{detail::KvText{}});  // the old state is untouched
        return;
    }
    detail::State copy{detail::KvText{}};
    UNDERSTUDY_CHECK(detail::install(copy, detail::chunks_of(state, 5), {1, 9}).empty() && copy == state);
    const auto saved = state.sessions.save();
    UNDERSTUDY_CHECK(SessionTable::load(saved) == state.sessions);
}

/// The input decides what a group does. Its snapshot in chunks must restore the same state; after some bytes are
/// changed it may be refused or restore any valid state.
inline void fuzz_transfer(std::string_view bytes) {
    Bytes in{bytes};
    const auto size = 1 + in.byte();
    auto state = detail::build_state(in);
    auto chunks = detail::chunks_of(state, size);
    detail::State copy{detail::KvText{}};
    UNDERSTUDY_CHECK(detail::install(copy, chunks, state.applied).empty());
    UNDERSTUDY_CHECK(copy.store == state.store && copy.sessions == state.sessions && copy.applied == state.applied);
    UNDERSTUDY_CHECK(detail::chunks_of(copy, size) == chunks);

    for (auto changes = in.below(8); changes > 0; --changes) {
        auto& chunk = chunks[in.byte() % chunks.size()];
        if (!chunk.empty()) chunk[in.byte() % chunk.size()] ^= static_cast<char>(in.byte());
    }
    detail::State other{detail::KvText{}};
    if (!detail::install(other, chunks, state.applied).empty()) return;
    detail::State again{detail::KvText{}};
    UNDERSTUDY_CHECK(detail::install(again, detail::chunks_of(other, 1), state.applied).empty() && again == other);
}

}  // namespace understudy::fuzz
