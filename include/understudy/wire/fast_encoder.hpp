// The fast path of encoding: writes the frequent messages in one pass. The text around the commands is assembled in a
// small buffer, so the output string grows in few steps. The result is byte for byte the same as from the field lists
// (messages.hpp); every other message is left to those.
#pragma once

#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include <understudy/protocol/message.hpp>
#include <understudy/wire/utf8.hpp>

namespace understudy::wire {

/// Appends messages to a string. For a message that it does not handle, `write` returns false and appends nothing.
class FastEncoder {
public:
    explicit FastEncoder(std::string& out) : out_{out} {}

    /// Appends the JSON-RPC message if it is one of the frequent ones. Each handler checks everything that could make
    /// it give up before it writes the first byte.
    bool write(const CallId& id, const Message& message) {
        if (id.empty() || id.size() > longest_id) return false;
        return std::visit([&](const auto& it) { return write(id, it); }, message);
    }

private:
    // Texts up to these lengths go through the buffer, which has to hold the longest of them.
    static constexpr std::size_t longest_id = 32, longest_name = 128, longest_number = 20;

    // Every message without a handler of its own.
    template <typename Other>
    bool write(const CallId&, const Other&) {
        return false;
    }
    bool write(const CallId& id, const Execute& it) {
        if (!is_plain(it.group)) return false;
        begin(id);
        put(R"(,"method":"pb.execute","params":{"cluster":)").put_address(it.cluster, it.group).put_session(it);
        put(R"(,"command":)").put_json(it.command).put("}}");
        return end();
    }
    bool write(const CallId& id, const Query& it) {
        if (!is_plain(it.group)) return false;
        begin(id);
        put(R"(,"method":"pb.query","params":{"cluster":)").put_address(it.cluster, it.group);
        put(R"(,"query":)").put_json(it.query).put("}}");
        return end();
    }
    // Without the whole view and without entries that open or close sessions; both are rare.
    bool write(const CallId& id, const Append& it) {
        if (!is_plain(it.group) || it.view.whole) return false;
        for (const auto& entry : it.entries)
            if (entry.kind != EntryKind::command) return false;
        begin(id);
        put(R"(,"method":"replica.append","params":{"cluster":)").put_address(it.cluster, it.group);
        put(R"(,"view":)").put(it.view.number).put(R"(,"prev":)").put(it.prev);
        if (!it.entries.empty()) {
            put(R"(,"entries":[)");
            for (const auto& entry : it.entries) {
                if (&entry != it.entries.data()) put(",");
                put(R"({"at":)").put(entry.at).put_session(entry);
                put(R"(,"command":)").put_json(entry.command).put("}");
            }
            put("]");
        }
        put(R"(,"commit":)").put(it.commit);
        if (it.round != 0) put(R"(,"round":)").put(it.round);
        put("}}");
        return end();
    }
    bool write(const CallId& id, const AppendResult& it) {
        for (const auto& name : it.features)
            if (!is_plain(name)) return false;
        begin(id);
        put(R"(,"result":{"view":)").put(it.view).put(R"(,"match":)").put(it.match);
        if (it.round != 0) put(R"(,"round":)").put(it.round);
        if (!it.features.empty()) put(R"(,"features":[)").put_features(it.features).put("]");
        put("}}");
        return end();
    }
    bool write(const CallId& id, const ExecuteResult& it) { return write_value(id, it); }
    bool write(const CallId& id, const QueryResult& it) { return write_value(id, it); }
    bool write_value(const CallId& id, const auto& it) {
        begin(id);
        put(R"(,"result":{"at":)").put(it.at).put(R"(,"value":)").put_json(it.value).put("}}");
        return end();
    }

    // With durations of whole milliseconds. View 0 has neither a primary nor members.
    bool write(const CallId& id, const PingResult& it) {
        const auto& view = it.info.view;
        if (!is_plain(it.info.group) || !is_plain(view.primary.name) || !is_whole(it.info.ping_interval) ||
            !is_whole(it.lease))
            return false;
        if (view.number == 0 && !view.backups.empty()) return false;
        for (const auto& backup : view.backups)
            if (!is_plain(backup.name)) return false;
        begin(id);
        put(R"(,"result":{"view":{"group":)").put_quoted(it.info.group).put(R"(,"cluster":)").put(it.info.cluster);
        put(R"(,"ping_interval":)").put_milliseconds(it.info.ping_interval).put(R"(,"viewnum":)").put(view.number);
        if (view.number != 0) put(R"(,"primary":)").put_quoted(view.primary.name);
        put(R"(,"backups":[)").put_names(view, false).put(R"(],"synced":[)").put_names(view, true);
        put(R"(],"incarnations":{)");
        if (view.number != 0) put_incarnation(view.primary);
        for (const auto& backup : view.backups) put(",").put_incarnation(backup);
        put("}");
        if (view.forced != 0) put(R"(,"forced":)").put(view.forced);
        put(R"(},"lease_ms":)").put_milliseconds(it.lease);
        if (it.stop) put(R"(,"stop":true)");
        put("}}");
        return end();
    }

    // ---- parts ------------------------------------------------------------------------------------------

    // A short text that needs no escapes.
    static bool is_plain(std::string_view name) {
        return name.size() <= longest_name &&
               skip_plain(name.data(), name.data() + name.size()) == name.data() + name.size();
    }
    static bool is_whole(Duration it) { return it >= Duration{} && it % std::chrono::milliseconds{1} == Duration{}; }
    void begin(const CallId& id) { put(R"({"jsonrpc":"2.0","id":)").put_text(id); }
    bool end() {
        flush();
        return true;
    }

    FastEncoder& put_address(ClusterId cluster, const std::string& group) {
        return put(cluster).put(R"(,"group":)").put_quoted(group);
    }
    FastEncoder& put_features(const Features& names) {
        for (const auto& name : names) {
            if (&name != names.data()) put(",");
            put_quoted(name);
        }
        return *this;
    }
    /// The names of all backups, or only of the synced ones.
    FastEncoder& put_names(const View& view, bool synced) {
        bool first = true;
        for (const auto& backup : view.backups) {
            if (synced && !backup.synced) continue;
            if (!std::exchange(first, false)) put(",");
            put_quoted(backup.name);
        }
        return *this;
    }
    void put_incarnation(const Member& member) { put_quoted(member.name).put(":").put(member.incarnation); }
    void put_session(const auto& it) {
        if (it.session != SessionId{}) put(R"(,"session":)").put(it.session);
        if (it.seq != 0) put(R"(,"seq":)").put(it.seq);
        if (it.low != 0) put(R"(,"low":)").put(it.low);
    }
    // Commands and values can be large: they are appended to the string without the detour through the buffer.
    FastEncoder& put_json(const JsonText& text) {
        flush();
        if (text.empty()) return put("null");
        out_ += text;
        return *this;
    }
    template <std::size_t size>
    FastEncoder& put(const char (&literal)[size]) {
        make_room(size - 1);
        std::memcpy(at_, literal, size - 1);
        at_ += size - 1;
        return *this;
    }
    // A text of at most `longest_name` bytes: the buffer cannot grow.
    FastEncoder& put_text(const std::string& text) {
        make_room(text.size());
        std::memcpy(at_, text.data(), text.size());
        at_ += text.size();
        return *this;
    }
    FastEncoder& put_quoted(const std::string& text) { return put("\"").put_text(text).put("\""); }
    template <typename Token>
    requires std::is_enum_v<Token> FastEncoder& put(Token token) {
        make_room(18);
        *at_++ = '"';
        for (int shift = 60; shift >= 0; shift -= 4)
            *at_++ = "0123456789abcdef"[static_cast<std::uint64_t>(token) >> shift & 15];
        *at_++ = '"';
        return *this;
    }
    FastEncoder& put_milliseconds(Duration it) {
        return put(static_cast<std::uint64_t>(it / std::chrono::milliseconds{1}));
    }
    FastEncoder& put(std::uint64_t number) {
        make_room(longest_number);
        at_ = std::to_chars(at_, at_ + longest_number, number).ptr;
        return *this;
    }
    FastEncoder& put(const Position& it) { return put("[").put(it.view).put(",").put(it.index).put("]"); }

    void make_room(std::size_t size) {
        if (static_cast<std::size_t>(buffer_ + sizeof buffer_ - at_) < size) flush();
    }
    void flush() {
        out_.append(buffer_, at_);
        at_ = buffer_;
    }

    std::string& out_;
    char buffer_[256];
    char* at_ = buffer_;
};

}  // namespace understudy::wire
