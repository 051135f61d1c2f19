// Reads and restores a whole snapshot of a Store, in either of its two forms (store.hpp), so that the checks need only
// one.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>

#include <understudy/store.hpp>

namespace understudy::sim {

/// Reads the rest of a streaming snapshot. Each read asks for at most `size()` bytes. Throws `std::runtime_error` if
/// the snapshot returns more.
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

/// Takes a snapshot of the store and returns all its bytes.
template <Store S>
std::string snapshot_bytes(const S& store) {
    if constexpr (StreamingSnapshot<S>) {
        auto snapshot = store.snapshot();
        return read_rest(snapshot, [] { return std::size_t{64} << 10; });
    } else {
        return store.snapshot();
    }
}

/// Restores a store from a snapshot. A streaming store gets pieces of at most `size()` bytes. Throws what the store
/// throws.
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
