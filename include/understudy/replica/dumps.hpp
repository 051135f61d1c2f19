// Snapshot exports (`pb.dump`): clients read a snapshot of the store chunk by chunk. A confirmed read takes the
// snapshot, and it stays unchanged while the store goes on.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include <understudy/replica/turn.hpp>

namespace understudy::replica {

/// The open exports of a primary, at most `max_dumps`. Each belongs to one connection and one position.
template <TextStore S>
class Dumps {
public:
    /// Takes a snapshot of the applied state and answers with its first chunk; `overloaded` if `max_dumps` exports are
    /// open and none of them was read to its end.
    void begin(const Caller& caller, Turn<S>& turn) {
        make_room(turn.options.max_dumps);
        if (open_.size() >= turn.options.max_dumps)
            return turn.refuse(caller, Method::pb_dump,
                               {error::overloaded, "max_dumps is " + std::to_string(turn.options.max_dumps)});
        Position at{turn.view().number, turn.state.applied.index};
        Open begun{turn.state.store.snapshot(), {}, 0, {}};
        read_next(begun, turn);
        auto [dump, fresh] = open_.try_emplace({caller.peer, at}, begun);
        // A repeated first call may arrive after later ones. An export that is being read then stays as it is, so that
        // its reader can go on.
        if (fresh || dump->second.chunk == 0 || dump->second.data.empty()) {
            dump->second = std::move(begun);
            answer(caller, dump, turn);
        } else {
            turn.out.send(caller.peer, caller.id, DumpResult{at, 0, begun.data, begun.data.empty()});
        }
    }

    /// Sends the chunk that was asked for: the last one again, or the next. Answers `bad_chunk` for any other chunk,
    /// and if no such export is open.
    void go_on(const Caller& caller, Position at, std::uint64_t chunk, Turn<S>& turn) {
        auto dump = open_.find({caller.peer, at});
        if (dump == open_.end() || (chunk != dump->second.chunk && chunk != dump->second.chunk + 1))
            return turn.refuse(caller, Method::pb_dump,
                               {error::bad_chunk, "no such snapshot is open at this chunk; begin anew"});
        if (chunk == dump->second.chunk + 1) {
            ++dump->second.chunk;
            read_next(dump->second, turn);
        }
        answer(caller, dump, turn);
    }

    /// The connection ended. A reply address ends with its connection, so nobody can ask for more of its exports: they
    /// are closed. Without this they would occupy `max_dumps` until `dump_ttl`.
    void disconnected(const Address& peer) {
        const auto begun = std::erase_if(open_, [&](const auto& dump) { return dump.first.first == peer; });
        if (begun > 0) reached("C6: a snapshot that a client read is given up with its connection");
    }
    /// Closes the exports that were unused for `dump_ttl`.
    void expire(Time now) {
        std::erase_if(open_, [&](const auto& dump) { return dump.second.expires <= now; });
    }
    void clear() { open_.clear(); }
    /// When the next export expires; `never` if none is open.
    Time deadline() const {
        auto next = never;
        for (const auto& [key, dump] : open_) next = std::min(next, dump.expires);
        return next;
    }

    friend bool operator==(const Dumps&, const Dumps&) = default;

private:
    using Reader = decltype(std::declval<const S&>().snapshot());
    struct Open {
        Reader reader;
        std::string data;  // the last chunk that was read; empty if the snapshot was read to its end
        std::uint64_t chunk = 0;
        Time expires{};
        friend bool operator==(const Open&, const Open&) = default;
    };
    using Table = std::map<std::pair<Address, Position>, Open>;

    /// Closes exports that were read to their end if there is no room for another. They stay open only in case that the
    /// last chunk is asked for again.
    void make_room(std::size_t max) {
        if (open_.size() >= max) std::erase_if(open_, [](const auto& dump) { return dump.second.data.empty(); });
    }

    void read_next(Open& dump, Turn<S>& turn) { dump.data = dump.reader.read(turn.options.chunk_bytes); }

    /// Sends the last chunk that was read. The chunk after the last byte is empty and marked `last`.
    void answer(const Caller& caller, typename Table::iterator dump, Turn<S>& turn) {
        auto& open = dump->second;
        open.expires = after(turn.now, turn.options.dump_ttl);
        turn.out.send(caller.peer, caller.id, DumpResult{dump->first.second, open.chunk, open.data, open.data.empty()});
    }

    Table open_;
};

}  // namespace understudy::replica
