// Conformance tests for a Store: they check the requirements of store.hpp that a compiler cannot check. They are for a
// unit test of the host that wrote the store. A store that breaks one of them makes replicas diverge.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/sim/disk/snapshot_bytes.hpp>
#include <understudy/sim/world/random.hpp>
#include <understudy/store.hpp>
#include <understudy/wire/store_text.hpp>
#include <understudy/wire/typed_store.hpp>

namespace understudy::sim {

namespace detail {

/// Runs one list of commands (the script) over many copies of a store and compares the copies. Replies are compared as
/// the JSON text that clients receive, because `Reply` need not be equality comparable.
template <Store S>
requires SimpleSnapshot<S> || StreamingSnapshot<S>
class StoreLaws {
    using Command = typename S::Command;
    using Query = typename S::Query;
    using Text = wire::TypedStore<S>;

public:
    StoreLaws(const S& fresh, const std::vector<Command>& commands, const std::vector<Query>& queries,
              std::uint64_t seed)
        : fresh_{fresh}, queries_{queries}, random_{seed} {
        law("a command survives its JSON", [&] { return write_script(commands); });
    }

    std::vector<std::string> broken() {
        law("apply does not throw", [&] { return total(); });
        if (!broken_.empty()) return broken_;  // every check below needs a script and an `apply` that does not throw
        law("the same commands give the same replies", [&] { return same_replies(); });
        law("the same commands give the same snapshot", [&] { return same_snapshot(); });
        law("a command survives its JSON", [&] { return commands_as_text(); });
        law("a prepared command has the effect of its JSON", [&] { return prepared_commands(); });
        law("a query survives its JSON", [&] { return queries_as_text(); });
        law("a reply survives its JSON", [&] { return replies_as_text(); });
        law("queries change nothing", [&] { return idle_queries(); });
        law("copies have nothing to do with each other", [&] { return independent_copies(); });
        law("a snapshot stays as it was taken while the store moves on", [&] { return fixed_snapshot(); });
        law("a restored store equals the one whose snapshot it was", [&] { return restored(); });
        law("a snapshot that cannot be read throws std::exception", [&] { return damaged(); });
        return broken_;
    }

private:
    /// Runs one check. `body` returns a sentence that says what is wrong, or an empty string. An exception out of
    /// `body` counts as a failed check, so one bad requirement does not hide the others.
    template <typename Body>
    void law(std::string_view text, Body&& body) {
        std::string wrong;
        try {
            wrong = body();
        } catch (const std::exception& failure) {
            wrong = std::string{"there was an exception: "} + failure.what();
        } catch (...) {
            wrong = "there was an exception that is no std::exception";
        }
        if (!wrong.empty()) broken_.push_back(std::string{text} + ", but " + wrong);
    }

    // ---- the script ----

    /// The script is each given command once, in order, then the same number of random picks from them. Commands that
    /// `check` refuses are left out, because a primary never logs them.
    std::string write_script(const std::vector<Command>& commands) {
        std::vector<Command> all = commands;
        for (std::size_t i = 0; i < commands.size(); ++i) all.push_back(random_.pick(commands));
        const Text text{fresh_};
        for (const auto& command : all) {
            auto json = wire::encode_command<S>(command);
            if (!text.check(json).empty()) continue;
            script_.push_back(command);
            texts_.push_back(std::move(json));
        }
        return script_.empty() && !commands.empty() ? "the store refuses all of them" : "";
    }

    static std::string apply(S& store, const Command& command) {
        const typename S::Reply reply = store.apply(command);
        return Text::encode(reply);
    }
    static std::string ask(const S& store, const Query& query) {
        const typename S::Reply reply = store.query(query);
        return Text::encode(reply);
    }
    std::vector<std::string> answers(const S& store) const {
        std::vector<std::string> all;
        for (const auto& query : queries_) all.push_back(ask(store, query));
        return all;
    }
    std::vector<std::string> run(S& store, std::size_t from, std::size_t to) const {
        std::vector<std::string> replies;
        for (auto i = from; i < to; ++i) replies.push_back(apply(store, script_[i]));
        return replies;
    }
    S after(std::size_t commands) const {
        S store = fresh_;
        run(store, 0, commands);
        return store;
    }
    std::size_t middle() const { return script_.size() / 2; }
    std::size_t end() const { return script_.size(); }

    static std::string both(const std::string& one, const std::string& other) { return one + " and then " + other; }
    std::string command(std::size_t i) const { return "command " + std::to_string(i + 1) + " " + texts_[i]; }

    /// Compares the replies of two runs that both started at command number `from`. Returns the first difference as a
    /// sentence, or an empty string.
    std::string difference(const std::vector<std::string>& one, const std::vector<std::string>& other,
                           std::size_t from) const {
        const auto [a, b] = std::mismatch(one.begin(), one.end(), other.begin());
        if (a == one.end()) return {};
        return command(from + static_cast<std::size_t>(a - one.begin())) + " answered " + both(*a, *b);
    }
    /// Compares two stores that should be equal: snapshots, queries, the replies to all commands from `from` on, and
    /// the snapshots after those. Returns the first difference as a sentence, or an empty string. A store can hide a
    /// difference (a counter that the snapshot leaves out, for example) until further commands are applied.
    std::string tell_apart(S one, S other, std::size_t from) const {
        if (snapshot_bytes(one) != snapshot_bytes(other)) return "its snapshot differs";
        if (answers(one) != answers(other)) return "a query is answered otherwise";
        const auto replies = run(one, from, end());
        if (auto wrong = difference(replies, run(other, from, end()), from); !wrong.empty()) return wrong;
        return snapshot_bytes(one) != snapshot_bytes(other) ? "its snapshot differs after further commands" : "";
    }

    // ---- the requirements: each check returns what is wrong, or an empty string ----

    // The check is that `apply` does not throw; `law` reports the exception.
    std::string total() {
        after(end());
        return {};
    }

    std::string same_replies() {
        S one = fresh_, other = fresh_;
        const auto replies = run(one, 0, end());
        return difference(replies, run(other, 0, end()), 0);
    }
    std::string same_snapshot() {
        const S one = after(end()), other = after(end());
        if (snapshot_bytes(one) != snapshot_bytes(other)) return "those of two copies differ";
        return snapshot_bytes(one) != snapshot_bytes(one) ? "two of one store differ" : "";
    }

    std::string commands_as_text() {
        S direct = fresh_;
        Text text{fresh_};
        for (std::size_t i = 0; i < end(); ++i) {
            if (wire::encode_command<S>(Text::decode_command(texts_[i])) != texts_[i])
                return command(i) + " is written otherwise after it was read";
            const auto reply = apply(direct, script_[i]);
            const auto outcome = text.apply(texts_[i]);
            if (!outcome.ok) return command(i) + ": " + outcome.text;
            if (outcome.text != reply) return command(i) + " answers " + reply + ", its JSON " + outcome.text;
        }
        return snapshot_bytes(direct) != snapshot_bytes(text.store()) ? "it has another effect" : "";
    }
    /// A primary applies what it prepared before it logged it; a backup, and a server that recovers, the text alone.
    std::string prepared_commands() {
        const Text other{after(middle())};  // what is prepared must not depend on the state
        Text bare{fresh_}, prepared{fresh_};
        for (std::size_t i = 0; i < end(); ++i) {
            const auto found = prepared.prepare(texts_[i]);
            if (found.command != other.prepare(texts_[i]).command) return command(i) + " is prepared by the state";
            const auto reply = bare.apply(texts_[i]), again = prepared.apply(texts_[i], found.command);
            if (again.text != reply.text)
                return command(i) + " answers " + reply.text + ", when it was prepared " + again.text;
        }
        return snapshot_bytes(bare.store()) != snapshot_bytes(prepared.store()) ? "it has another effect" : "";
    }
    std::string queries_as_text() {
        for (const auto point : {std::size_t{0}, middle(), end()}) {
            const Text text{after(point)};
            for (const auto& query : queries_) {
                const auto json = wire::encode_query<S>(query);
                if (wire::encode_query<S>(Text::decode_query(json)) != json)
                    return "query " + json + " is written otherwise after it was read";
                const auto answer = ask(text.store(), query);
                const auto outcome = text.query(json);
                if (!outcome.ok) return "query " + json + ": " + outcome.text;
                if (outcome.text != answer)
                    return "query " + json + " answers " + answer + ", its JSON " + outcome.text;
            }
        }
        return {};
    }
    std::string replies_as_text() {
        S store = fresh_;
        for (const auto& command : script_) {
            if (auto wrong = reply_as_text(store.apply(command)); !wrong.empty()) return wrong;
            for (const auto& query : queries_)
                if (auto wrong = reply_as_text(std::as_const(store).query(query)); !wrong.empty()) return wrong;
        }
        return {};
    }
    static std::string reply_as_text(const typename S::Reply& reply) {
        const auto json = Text::encode(reply);
        const typename S::Reply read = wire::decode_reply<S>(json);
        if (Text::encode(read) != json) return "reply " + json + " is written otherwise after it was read";
        if constexpr (std::equality_comparable<typename S::Reply>)
            if (!(read == reply)) return "reply " + json + " is another after it was read";
        return {};
    }

    std::string idle_queries() {
        S asked = fresh_, left_alone = fresh_;
        for (std::size_t i = 0; i < end(); ++i) {
            const auto once = answers(asked), twice = answers(asked);
            if (once != twice) return "the same query is answered otherwise when asked again";
            const auto reply = apply(left_alone, script_[i]);
            const auto reply_when_asked = apply(asked, script_[i]);
            if (reply != reply_when_asked) return command(i) + " answered " + reply_when_asked + " instead of " + reply;
        }
        answers(asked);
        return snapshot_bytes(asked) != snapshot_bytes(left_alone) ? "the snapshot is another after them" : "";
    }

    std::string independent_copies() {
        S original = after(middle());
        const auto bytes = snapshot_bytes(original);
        const auto said = answers(original);
        const auto same = [&](const S& store) { return snapshot_bytes(store) == bytes && answers(store) == said; };
        S moving = original;
        const auto replies = run(moving, middle(), end());
        if (!same(original)) return "a store changed with its copy";
        const S staying = original;
        const auto again = run(original, middle(), end());
        if (!same(staying)) return "a copy changed with the store that it was made of";
        return difference(again, replies, middle());
    }

    // Reads a snapshot in pieces while the store applies further commands, as a primary does for a joining server.
    std::string fixed_snapshot() {
        Text text{after(middle())};
        const auto bytes = snapshot_bytes(text.store());
        auto snapshot = text.snapshot();
        auto read = snapshot.read(1 + static_cast<std::size_t>(random_.below(bytes.size() / 2 + 1)));
        for (auto i = middle(); i < end(); ++i) {
            apply(text.store(), script_[i]);
            read += snapshot.read(odd_size(bytes));
        }
        read += read_rest(snapshot, [&] { return odd_size(bytes); });
        return read != bytes ? "what was read later is not what was there" : "";
    }

    std::string restored() {
        for (const auto point : {std::size_t{0}, middle(), end()}) {
            const S store = after(point);
            // Restore into a fresh store and into one that already applied commands: `restore` must drop the old state.
            for (const auto before : {std::size_t{0}, end()}) {
                Text text{after(before)};
                if (auto wrong = restore(text, snapshot_bytes(store)); !wrong.empty()) return wrong;
                const auto from = point == end() ? 0 : point;
                if (auto wrong = tell_apart(text.store(), store, from); !wrong.empty()) return wrong;
            }
        }
        return {};
    }
    /// Restores in pieces of random sizes, as a joining server does when it receives chunks. Returns what the store
    /// reported, or an empty string.
    std::string restore(Text& text, std::string_view bytes) {
        auto wrong = text.restore_begin();
        while (wrong.empty() && !bytes.empty()) {
            const auto piece = bytes.substr(0, odd_size(bytes));
            wrong = text.restore_chunk(piece);
            bytes.remove_prefix(piece.size());
        }
        return wrong.empty() ? text.restore_end() : wrong;
    }
    /// The size of the next piece: 1 to 16 bytes for a small snapshot, up to 1% of a large one. Small pieces split
    /// values at awkward places; for a large snapshot they would take too long.
    std::size_t odd_size(std::string_view bytes) {
        return 1 + static_cast<std::size_t>(random_.below(std::max<std::size_t>(16, bytes.size() / 100)));
    }

    /// Truncates a snapshot or changes one byte of it, a hundred times. The store may refuse it with `std::exception`,
    /// or accept it, because not every damage can be detected. A store that accepted it must still apply commands,
    /// answer queries and take a snapshot without an exception.
    std::string damaged() {
        const auto whole = snapshot_bytes(after(end()));
        for (int attempt = 0; attempt < 100 && !whole.empty(); ++attempt) {
            auto bytes = whole;
            const auto place = static_cast<std::size_t>(random_.below(whole.size()));
            if (random_.chance(0.5))
                bytes.resize(place);
            else
                bytes[place] = static_cast<char>(random_.below(256));
            S store = fresh_;
            try {
                restore_bytes(store, bytes, [&] { return odd_size(bytes); });
            } catch (const std::exception&) {
                continue;
            }
            run(store, 0, end());
            answers(store);
            snapshot_bytes(store);
        }
        return {};
    }

    S fresh_;
    std::vector<Command> script_;
    std::vector<std::string> texts_;  // the same commands as JSON, as they are sent
    std::vector<Query> queries_;
    Random random_;
    std::vector<std::string> broken_;
};

}  // namespace detail

/// Checks a store and returns the requirements that it breaks: one sentence each, with what was observed. Empty if none
/// is broken.
///
/// `fresh` is the store as the host passes it to a service. `commands` should cover nearly everything that the store
/// can do; they are applied in this order first, then at random. Equal arguments and seeds give the same test. In a
/// unit test: `CHECK(broken_store_laws(...).empty())`. Run it under sanitizers if you can: they find memory errors that
/// a damaged snapshot causes.
template <Store S>
std::vector<std::string> broken_store_laws(const S& fresh, const std::vector<typename S::Command>& commands,
                                           const std::vector<typename S::Query>& queries, std::uint64_t seed = 1) {
    return detail::StoreLaws<S>{fresh, commands, queries, seed}.broken();
}

}  // namespace understudy::sim
