// An entry of the replicated log, with a command of its own or with one that lies elsewhere.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <understudy/base/namespaces.hpp>
#include <understudy/view.hpp>

namespace understudy::protocol {

/// JSON text that the library passes on unparsed: a command, a query, or a reply of the store.
using JsonText = std::string;

enum class EntryKind : std::uint8_t { command, open, close };

/// One entry of the replicated log. `open` opens the session that is named by the entry's position. `close` closes
/// `session`.
struct Entry {
    Position at;
    EntryKind kind = EntryKind::command;
    SessionId session;
    Sequence seq = 0;
    Sequence low = 0;
    JsonText command;
    friend bool operator==(const Entry&, const Entry&) = default;
};

/// An entry without a copy of its command. The command belongs to another object, which must outlive the `EntryView`.
struct EntryView {
    Position at;
    EntryKind kind = EntryKind::command;
    SessionId session;
    Sequence seq = 0;
    Sequence low = 0;
    std::string_view command;

    EntryView() = default;
    EntryView(Position position, EntryKind what, SessionId of, Sequence number, Sequence lowest, std::string_view text)
        : at{position}, kind{what}, session{of}, seq{number}, low{lowest}, command{text} {}
    // A temporary entry would leave `command` dangling.
    EntryView(Entry&&) = delete;
    EntryView(const Entry& entry)
        : EntryView{entry.at, entry.kind, entry.session, entry.seq, entry.low, entry.command} {}
    explicit operator Entry() const { return {at, kind, session, seq, low, JsonText{command}}; }
    friend bool operator==(const EntryView&, const EntryView&) = default;
};

}  // namespace understudy::protocol
