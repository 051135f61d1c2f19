// The field lists of all messages: their members on the wire, in the order in which they are written. docs/protocol.md
// explains the members; fields.hpp says how a list is used.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <understudy/protocol/message.hpp>
#include <understudy/wire/fields.hpp>
#include <understudy/wire/view.hpp>

namespace understudy::wire {

/// A list of features. When it is read, names beyond the bounds of this version (`is_feature`, `max_features`) are
/// skipped and not refused: a later version may have other bounds.
template <Like<Features> F>
struct FeatureNames {
    F& list;
    bool has_value() const { return !list.empty(); }
};
template <typename F> FeatureNames(F&) -> FeatureNames<F>;
inline void write(Writer& to, FeatureNames<const Features> it) { write(to, it.list); }
inline bool read(Reader& in, FeatureNames<Features> it) {
    if (in.scan.peek() != Kind::array) return in.refuse("an array");
    it.list.clear();
    std::size_t at = 0;
    return in.scan.elements([&] {
        std::string name;
        if (!read(in, name)) return in.within(at);
        ++at;
        if (is_feature(name) && it.list.size() < max_features) it.list.push_back(std::move(name));
        return true;
    });
}

// ---- to and from the view service ------------------------------------------------------------------------

void fields(auto& visit, Like<Ping> auto& ping) {
    visit.required("protocol", ping.protocol);
    visit.required("group", ping.group);
    visit.required("server", ping.server);
    visit.required("incarnation", ping.incarnation);
    visit.required("n", ping.n);
    visit.required("viewnum", ping.viewnum);
    visit.optional("cluster", ping.cluster);
    visit.optional("synced", ping.synced);
    visit.optional("unreachable", ping.unreachable);
    visit.optional("stopped", ping.stopped);
    visit.optional("leaving", ping.leaving);
    visit.optional("recovered", ping.recovered);
    visit.optional("lease", ping.lease);
    visit.optional("known", ping.known);
    visit.optional("features", FeatureNames{ping.features});
    visit.optional("knew", ping.knew);
    visit.optional("state_view", ping.state_view);
    visit.optional("journal", ping.journal);
}
void fields(auto& visit, Like<PingResult> auto& result) {
    visit.required("view", result.info);
    visit.required("lease_ms", result.lease);
    visit.optional("stop", result.stop);
}
void fields(auto& visit, Like<ViewGet> auto& get) {
    visit.required("protocol", get.protocol);
    visit.required("group", get.group);
}
void fields(auto& visit, Like<ViewWatch> auto& watch) { visit.required("group", watch.group); }
void fields(auto& visit, Like<ViewPromote> auto& promote) {
    visit.required("group", promote.group);
    visit.required("server", promote.server);
}
void fields(auto& visit, Like<ViewForce> auto& force) {
    visit.required("group", force.group);
    visit.required("server", force.server);
}
void fields(auto& visit, Like<ViewAdopt> auto& adopt) {
    visit.required("group", adopt.group);
    visit.required("cluster", adopt.cluster);
}
void fields(auto& visit, Like<ViewRemove> auto& remove) { visit.required("group", remove.group); }
void fields(auto& visit, Like<ViewResult> auto& result) {
    visit.required("view", result.info);
    visit.optional("trouble", HumanText{result.trouble});
}
void fields(auto& visit, Like<ViewForceResult> auto& result) {
    visit.required("view", result.info);
    visit.required("may_be_lost", HumanText{result.may_be_lost});
}
void fields(auto& visit, Like<ViewChanged> auto& changed) { visit.required("view", changed.info); }

void fields(auto& visit, Like<ViewStatus> auto& status) { visit.optional("group", status.group); }
void fields(auto& visit, Like<ServerStatus> auto& server) {
    visit.required("name", server.name);
    visit.required("incarnation", server.incarnation);
    visit.required("role", server.role);
    visit.required("age_ms", server.last_ping);
    visit.required("viewnum", server.viewnum);
    visit.optional("trouble", HumanText{server.trouble});
}
void fields(auto& visit, Like<GroupStatus> auto& group) {
    visit.required("view", group.info);
    visit.required("acked", group.acked);
    visit.required("servers", group.servers);
    visit.optional("waiting_for", group.waiting_for);
    visit.optional("waiting_why", HumanText{group.waiting_why});
}
void fields(auto& visit, Like<RefusedServer> auto& server) {
    visit.required("group", server.group);
    visit.required("name", server.name);
    visit.required("cluster", server.cluster);
    visit.required("viewnum", server.viewnum);
    visit.required("age_ms", server.last_ping);
}
void fields(auto& visit, Like<PastEvent> auto& event) {
    visit.required("age_ms", event.age);
    visit.required("text", HumanText{event.text});
}
void fields(auto& visit, Like<ViewStatusResult> auto& result) {
    visit.required("groups", result.groups);
    visit.required("events", result.events);
    visit.optional("refused", result.refused);
}

// ---- to and from replicas --------------------------------------------------------------------------------

void fields(auto& visit, Like<Open> auto& open) {
    visit.required("protocol", open.protocol);
    visit.required("cluster", open.cluster);
    visit.required("group", open.group);
}
void fields(auto& visit, Like<OpenResult> auto& result) { visit.required("session", result.session); }
void fields(auto& visit, Like<Close> auto& close) {
    visit.required("cluster", close.cluster);
    visit.required("group", close.group);
    visit.required("session", close.session);
}
void fields(auto& visit, Like<CloseResult> auto& result) { visit.required("at", result.at); }

void fields(auto& visit, LikeAny<Execute, ExecuteView> auto& execute) {
    visit.required("cluster", execute.cluster);
    visit.required("group", execute.group);
    visit.optional("session", execute.session);
    visit.optional("seq", execute.seq);
    visit.optional("low", execute.low);
    visit.required("command", Json{execute.command});
}
void fields(auto& visit, LikeAny<ExecuteResult, ExecuteResultView> auto& result) {
    visit.required("at", result.at);
    visit.required("value", Json{result.value});
}
void fields(auto& visit, LikeAny<Query, QueryView> auto& query) {
    visit.required("cluster", query.cluster);
    visit.required("group", query.group);
    visit.required("query", Json{query.query});
}
void fields(auto& visit, LikeAny<QueryResult, QueryResultView> auto& result) {
    visit.required("at", result.at);
    visit.required("value", Json{result.value});
}

void fields(auto& visit, Like<Dump> auto& dump) {
    visit.required("cluster", dump.cluster);
    visit.required("group", dump.group);
    visit.optional("at", dump.at);
    visit.optional("chunk", dump.chunk);
}
void fields(auto& visit, Like<DumpResult> auto& result) {
    visit.required("at", result.at);
    visit.required("chunk", result.chunk);
    visit.required("data", Bytes{result.data});
    visit.optional("last", result.last);
}

void fields(auto& visit, Like<ReplicaStatus> auto& status) {
    visit.optional("cluster", status.cluster);
    visit.optional("group", status.group);
}
void fields(auto& visit, Like<BackupStatus> auto& backup) {
    visit.required("name", backup.name);
    visit.required("state", backup.state);
    visit.required("match", backup.match);
    visit.optional("sent", backup.sent);
}
void fields(auto& visit, Like<ReplicaStatusResult> auto& result) {
    visit.required("view", result.info);
    visit.required("server", result.server);
    visit.required("incarnation", result.incarnation);
    visit.required("role", result.role);
    visit.required("first", result.first);
    visit.required("last", result.last);
    visit.required("commit", result.commit);
    visit.required("applied", result.applied);
    visit.required("sessions", result.sessions);
    visit.required("log_bytes", result.log_bytes);
    visit.required("backups", result.backups);
}

// ---- between replicas ------------------------------------------------------------------------------------

// Only an entry of kind `command` has a command. If the text has another kind before a command, that is skipped.
void fields(auto& visit, LikeAny<Entry, EntryView> auto& entry) {
    visit.required("at", entry.at);
    visit.optional("kind", entry.kind);
    visit.optional("session", entry.session);
    visit.optional("seq", entry.seq);
    visit.optional("low", entry.low);
    if (entry.kind == EntryKind::command) visit.required("command", Json{entry.command});
}
/// Members come in any order. If a command stood before a kind that has none, it was read and is dropped here, so that
/// the order of members has no meaning.
inline bool read(Reader& in, Entry& entry) {
    if (!read<Entry&>(in, entry)) return false;
    if (entry.kind != EntryKind::command) entry.command.clear();
    return true;
}
inline void write(Writer& to, const SharedEntries& entries) {
    to.put("[");
    for (bool first = true; const EntryView& entry : entries) {
        if (!std::exchange(first, false)) to.put(",");
        write(to, entry);
    }
    to.put("]");
}
inline bool read(Reader& in, SharedEntries& entries) {
    std::vector<Entry> all;
    const bool good = read(in, all);
    entries = all;
    return good;
}
void fields(auto& visit, LikeAny<Append, AppendView> auto& append) {
    visit.required("cluster", append.cluster);
    visit.required("group", append.group);
    visit.required("view", append.view);
    visit.required("prev", append.prev);
    visit.optional("entries", append.entries);
    visit.required("commit", append.commit);
    visit.optional("round", append.round);
}
void fields(auto& visit, Like<AppendResult> auto& result) {
    visit.required("view", result.view);
    visit.required("match", result.match);
    visit.optional("round", result.round);
    visit.optional("features", FeatureNames{result.features});
}

void fields(auto& visit, Like<SnapshotId> auto& snapshot) {
    visit.required("by", snapshot.by);
    visit.required("at", snapshot.at);
}
void fields(auto& visit, Like<Install> auto& install) {
    visit.required("protocol", install.protocol);
    visit.required("cluster", install.cluster);
    visit.required("group", install.group);
    visit.required("view", install.view);
    visit.required("snapshot", install.snapshot);
    visit.required("chunk", install.chunk);
    visit.required("data", Bytes{install.data});
    visit.optional("last", install.last);
}
void fields(auto& visit, Like<InstallResult> auto& result) {
    visit.required("view", result.view);
    visit.required("snapshot", result.snapshot);
    visit.required("next", result.next);
}

// ---- errors ----------------------------------------------------------------------------------------------

void fields(auto& visit, Like<Held> auto& held) {
    visit.required("last", held.last);
    visit.required("commit", held.commit);
}

/// The number of an error. An unknown number is read as `internal`.
template <Like<error> E>
struct Code {
    E& code;
};
template <typename E> Code(E&) -> Code<E>;
inline void write(Writer& to, Code<const error> it) { to.number(wire_code(it.code)); }
inline bool read(Reader& in, Code<error> it) {
    int number = 0;
    const bool good = read(in, number);
    it.code = from_wire_code(number);
    return good;
}

/// The members of an error's `data`. `name` is human-readable text: it is written, and ignored when it is read, since
/// the number decides.
template <Like<Failure> F>
struct FailureDetails {
    F& failure;
    friend void fields(auto& visit, const FailureDetails& data) {
        using Text = std::conditional_t<std::is_const_v<F>, const std::string, std::string>;
        Text name{to_string(data.failure.code)};
        visit.optional("name", HumanText{name});
        visit.optional("view", data.failure.view);
        visit.optional("held", data.failure.held);
        visit.optional("install", data.failure.install);
    }
};
template <typename F> FailureDetails(F&) -> FailureDetails<F>;

/// The `data` of an error. This implementation always writes an object. JSON-RPC allows any value, so a value that is
/// no object is skipped, and an absent one is accepted.
template <Like<Failure> F>
struct FailureData {
    F& failure;
    static constexpr bool has_value() { return true; }
};
template <typename F> FailureData(F&) -> FailureData<F>;
inline void write(Writer& to, FailureData<const Failure> it) { write(to, FailureDetails{it.failure}); }
inline bool read(Reader& in, FailureData<Failure> it) {
    if (in.scan.peek() == Kind::object) return read(in, FailureDetails{it.failure});
    return !in.scan.value().empty();
}

void fields(auto& visit, Like<Failure> auto& failure) {
    visit.required("code", Code{failure.code});
    visit.required("message", HumanText{failure.text});
    visit.optional("data", FailureData{failure});
}

}  // namespace understudy::wire
