// Reads and restores a whole snapshot of a Store, whichever form it has.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>

#include <understudy/store.hpp>

namespace understudy::sim {

/// The rest of a streaming snapshot, in pieces of at most `size()` bytes.
template <typename Snapshot, typename Size>
std::string read_rest(Snapshot& snapshot, Size&& size) {
    std::string all;
    for (;;) {
        const std::size_t most = size();
        const std::string piece = snapshot.read(most);
        if (piece.size() > most)
            throw std::runtime_error("read(" + std::to_string(most) + ") of a snapshot gave " +
                                     std::to_string(piece.size()) + " bytes");
        if (piece.empty()) return all;
        all += piece;
    }
}

/// All bytes of a store's snapshot.
template <Store S>
std::string snapshot_bytes(const S& store) {
    if constexpr (StreamingSnapshot<S>) {
        auto snapshot = store.snapshot();
        return read_rest(snapshot, [] { return std::size_t{64} << 10; });
    } else {
        return store.snapshot();
    }
}

/// Restores a store, in pieces of `size()` bytes if it takes pieces. Throws what the store throws.
template <Store S, typename Size>
void restore_bytes(S& store, std::string_view bytes, Size&& size) {
    if constexpr (StreamingSnapshot<S>) {
        store.restore_begin();
        while (!bytes.empty()) {
            const auto piece = bytes.substr(0, size());
            store.restore_chunk(piece);
            bytes.remove_prefix(piece.size());
        }
        store.restore_end();
    } else {
        store.restore(bytes);
    }
}

}  // namespace understudy::sim
