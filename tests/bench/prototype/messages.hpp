// The messages of the prototype: the same JSON as the library's, byte for byte (docs/protocol.md), read as views into
// the buffer in which they were received. Only this form is read; anything else ends the process.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include <understudy/protocol/call_id.hpp>
#include <understudy/view.hpp>
#include <understudy/wire/fast_scanner.hpp>

#include "tests/bench/prototype/buffers.hpp"

namespace understudy::bench::prototype {

using protocol::Method;
using wire::FastScanner;

inline constexpr ClusterId cluster{0x5ca1ab1e0ddba115};
inline constexpr char before_id[] = R"({"jsonrpc":"2.0","id":)";
inline constexpr char scope[] = R"("cluster":"5ca1ab1e0ddba115","group":"main")";
/// Enough room for what a message has besides its texts.
inline constexpr std::size_t message_room = 512;

[[noreturn]] inline void unexpected(std::string_view payload) {
    throw std::runtime_error{"the prototype cannot read " + std::string{payload.substr(0, 200)}};
}

inline std::uint64_t id_of(Method method, std::uint64_t n) { return protocol::make_call_id(method, n).number(); }
inline bool take(FastScanner& in, Position& it) {
    return in.literal("[") && in.number(it.view) && in.literal(",") && in.number(it.index) && in.literal("]");
}

/// A put or an append, read once: what the check, the log and the store need of it are views of the same text.
struct Command {
    std::string_view text, key, value;
    bool append = false;

    /// The same after the text was copied to `copy`.
    Command moved_to(const char* copy) const {
        const auto moved = [&](std::string_view it) {
            return std::string_view{copy + (it.data() - text.data()), it.size()};
        };
        return {moved(text), moved(key), moved(value), append};
    }
};
inline bool take(FastScanner& in, Command& it) {
    constexpr std::size_t longest_key = 64u << 10, longest_value = 2u << 20;
    const char* const start = in.mark();
    it.append = !in.literal(R"({"op":"put","key":)");
    if (it.append && !in.literal(R"({"op":"append","key":)")) return false;
    if (!in.plain(it.key) || !in.literal(R"(,"value":)") || !in.plain(it.value) || !in.literal("}")) return false;
    it.text = {start, static_cast<std::size_t>(in.mark() - start)};
    return it.key.size() <= longest_key && it.value.size() <= longest_value;
}
/// Writes a command to `to`, which is cleared.
inline void write(Bytes& to, bool append, std::string_view key, std::string_view value) {
    to.resize(0);
    TextWriter text{to.room(key.size() + value.size() + message_room)};
    text << (append ? R"({"op":"append","key":)" : R"({"op":"put","key":)");
    text.quote(key) << R"(,"value":)";
    text.quote(value) << "}";
    to.resize(static_cast<std::size_t>(text.end() - to.data()));
}

/// A log entry: a command, or the opening of the session that its position names.
struct Entry {
    Position at, session;
    std::uint64_t seq = 0, low = 0;
    Command command;

    bool opens() const { return command.text.empty(); }
};

/// The part that a request of a client and an entry of the log have in common: the command and where it belongs.
inline bool take_command(FastScanner& in, Entry& it) {
    return in.literal(R"("session":)") && take(in, it.session) && in.literal(R"(,"seq":)") && in.number(it.seq) &&
           in.literal(R"(,"low":)") && in.number(it.low) && in.literal(R"(,"command":)") && take(in, it.command) &&
           in.literal("}");
}
inline void write_command(SendBuffer& out, Position session, std::uint64_t seq, std::uint64_t low,
                          std::string_view command) {
    out.wrote(out.room(message_room) << R"("session":)" << session << R"(,"seq":)" << seq << R"(,"low":)" << low
                                     << R"(,"command":)");
    out.add(command);
    out.wrote(out.room(1) << "}");
}

inline bool take(FastScanner& in, Entry& it) {
    if (!in.literal(R"({"at":)") || !take(in, it.at) || !in.literal(",")) return false;
    if (in.literal(R"("kind":"open"})")) return true;
    return take_command(in, it);
}
inline void write(SendBuffer& out, const Entry& it) {
    out.wrote(out.room(message_room) << R"({"at":)" << it.at << ",");
    if (it.opens()) return out.wrote(out.room(message_room) << R"("kind":"open"})");
    write_command(out, it.session, it.seq, it.low, it.command.text);
}

/// Begins a frame with a request to its parameters' first own member.
inline void begin_request(SendBuffer& out, Method method, std::uint64_t n) {
    out.begin_frame();
    out.wrote(out.room(message_room) << before_id << id_of(method, n) << R"(,"method":")" << to_string(method)
                                     << R"(","params":{)");
}
inline void end_request(SendBuffer& out) {
    out.wrote(out.room(2) << "}");
    out.end_frame();
}

inline void write_open(SendBuffer& out, std::uint64_t n) {
    begin_request(out, Method::pb_open, n);
    out.wrote(out.room(message_room) << R"("protocol":1,)" << scope << "}");
    end_request(out);
}
inline void write_execute(SendBuffer& out, std::uint64_t n, Position session, std::uint64_t seq, std::uint64_t low,
                          std::string_view command) {
    begin_request(out, Method::pb_execute, n);
    out.wrote(out.room(message_room) << scope << ",");
    write_command(out, session, seq, low, command);
    end_request(out);
}
inline void write_get(SendBuffer& out, std::uint64_t n, std::string_view key) {
    begin_request(out, Method::pb_query, n);
    auto to = out.room(message_room + key.size()) << scope << R"(,"query":{"op":"get","key":)";
    out.wrote(to.quote(key) << "}}");
    end_request(out);
}

/// The answers. What a command or a read has as its value is `null`, a number or a string.
inline void write_opened(SendBuffer& out, std::uint64_t id, Position session) {
    out.begin_frame();
    out.wrote(out.room(message_room) << before_id << id << R"(,"result":{"session":)" << session << "}}");
    out.end_frame();
}
inline TextWriter begin_answer(SendBuffer& out, std::uint64_t id, Position at, std::size_t value = 0) {
    out.begin_frame();
    return out.room(message_room + value) << before_id << id << R"(,"result":{"at":)" << at << R"(,"value":)";
}
inline void end_answer(SendBuffer& out, TextWriter to) {
    out.wrote(to << "}}");
    out.end_frame();
}
/// `length`: of the value that an append has made; a put has none.
inline void write_executed(SendBuffer& out, std::uint64_t id, Position at, std::optional<std::uint64_t> length) {
    auto to = begin_answer(out, id, at);
    end_answer(out, length ? to << *length : to << "null");
}
inline void write_value(SendBuffer& out, std::uint64_t id, Position at, std::optional<std::string_view> value) {
    auto to = begin_answer(out, id, at, value ? value->size() : 0);
    end_answer(out, value ? to.quote(*value) : to << "null");
}
/// `value` is what stands in the quotes of a string, or the text of anything else.
inline bool take_value(FastScanner& in, Position& at, std::string_view& value) {
    if (!in.literal(R"(,"result":{"at":)") || !take(in, at) || !in.literal(R"(,"value":)")) return false;
    const char* const start = in.mark();
    std::uint64_t number = 0;
    if (in.plain(value)) return in.literal("}}");
    if (!in.literal("null") && !in.number(number)) return false;
    value = {start, static_cast<std::size_t>(in.mark() - start)};
    return in.literal("}}");
}

/// Begins an append after `prev`; the entries follow, and then its end.
inline void begin_append(SendBuffer& out, std::uint64_t n, std::uint64_t view, Position prev) {
    begin_request(out, Method::replica_append, n);
    out.wrote(out.room(message_room) << scope << R"(,"view":)" << view << R"(,"prev":)" << prev);
}
inline void end_append(SendBuffer& out, std::uint64_t commit) {
    out.wrote(out.room(message_room) << R"(,"commit":)" << commit << "}");
    end_request(out);
}
inline void write_appended(SendBuffer& out, std::uint64_t id, std::uint64_t view, std::uint64_t match) {
    out.begin_frame();
    out.wrote(out.room(message_room) << before_id << id << R"(,"result":{"view":)" << view << R"(,"match":)" << match
                                     << "}}");
    out.end_frame();
}

}  // namespace understudy::bench::prototype
