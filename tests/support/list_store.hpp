// A text store for tests of the state machines: it keeps every command that it executed, in order. The command
// `answer N` only returns N bytes.
#pragma once

#include <string>
#include <string_view>

#include <understudy/text_store.hpp>

namespace understudy::test {

struct ListStore {
    struct Snapshot {
        std::string rest;
        std::string read(std::size_t max) {
            auto piece = rest.substr(0, max);
            rest.erase(0, piece.size());
            return piece;
        }
        friend bool operator==(const Snapshot&, const Snapshot&) = default;
    };

    std::string all;

    Preparation prepare(std::string_view command) const { return {command == "bad" ? "bad is no command" : "", {}}; }
    TextOutcome apply(std::string_view command, const PreparedCommand& = {}) {
        if (command == "explode") return {false, "it exploded"};
        if (command.starts_with("answer ")) return {true, std::string(std::stoul(std::string{command.substr(7)}), 'a')};
        all += command;
        all += ';';
        return {true, std::to_string(all.size())};
    }
    TextOutcome query(std::string_view query) const {
        if (query == "bad") return {false, "bad is no query"};
        return {true, all};
    }
    Snapshot snapshot() const { return {all}; }
    std::string restore_begin() { return all.clear(), ""; }
    std::string restore_chunk(std::string_view bytes) { return all += bytes, ""; }
    std::string restore_end() { return {}; }

    friend bool operator==(const ListStore&, const ListStore&) = default;
};

}  // namespace understudy::test
