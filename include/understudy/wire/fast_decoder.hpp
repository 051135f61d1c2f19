// The fast path of decoding: the messages that a busy group and its view service exchange most, exactly as `encode`
// writes them. It compares whole pieces of text instead of one member name after the other. A payload that differs by
// one byte, valid or not, is left to the general decoder (json.ipp), so this one never reports an error. Where it reads
// a payload, both decoders give the same message (tests/fuzz, target `json`).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <understudy/protocol/call_id.hpp>
#include <understudy/protocol/message.hpp>
#include <understudy/wire/base64.hpp>
#include <understudy/wire/scan.hpp>
#include <understudy/wire/utf8.hpp>

namespace understudy::wire {

/// Reads one payload. Every step consumes the text that it names, or returns false. After a false the position in the
/// text is unspecified and the whole reading must be given up; only `literal` and `plain` consume nothing then.
class FastDecoder {
public:
    explicit FastDecoder(std::string_view payload) : at_{payload.data()}, end_{at_ + payload.size()} {}

    /// Reads a command, a query or an append, or the answer to one of these; a chunk of a snapshot; or a ping. After a
    /// false, `id` and `message` have unspecified values.
    bool read(CallId& id, Message& message) {
        if (!literal(R"({"jsonrpc":"2.0","id":)")) return false;
        const char* const start = at_;
        std::uint64_t number = 0;
        if (!take(number)) return false;
        id.assign(start, at_);
        return (request(message) || answer(id, message)) && literal("}") && at_ == end_;
    }

    /// Consumes `text` if it comes next.
    template <std::size_t size>
    bool literal(const char (&text)[size]) {
        if (static_cast<std::size_t>(end_ - at_) < size - 1 || std::memcmp(at_, text, size - 1) != 0) return false;
        at_ += size - 1;
        return true;
    }

    /// Reads a string of ASCII without escapes. `text` is a view into the payload.
    bool plain(std::string_view& text) {
        if (at_ == end_ || *at_ != '"') return false;
        const char* const start = at_ + 1;
        const char* const stop = skip_plain(start, end_);
        if (stop == end_ || *stop != '"') return false;
        text = {start, static_cast<std::size_t>(stop - start)};
        at_ = stop + 1;
        return true;
    }

    /// Reads bytes in the forms that `encode_bytes` and `encode_bulk` write. `bytes` then refers to the payload or,
    /// where something had to be decoded, to `room`.
    bool bytes(std::string_view& bytes, std::string& room) {
        if (plain(bytes)) return true;
        if (literal(R"({"b64":)")) {
            auto decoded = plain(bytes) && literal("}") ? decode_base64(bytes) : std::nullopt;
            if (!decoded) return false;
            room = std::move(*decoded);
        } else if (!unescape(room)) {
            return false;
        }
        bytes = room;
        return true;
    }

    bool at_end() const { return at_ == end_; }

private:
    /// Reads a string and unescapes it in one pass. Returns false for escapes that are rare (`\u`, `\b`, `\f`, `\/`):
    /// the general decoder reads these. The text is collected in a buffer on the stack, since appending each piece to
    /// the string would cost more.
    bool unescape(std::string& out) {
        // One step adds at most a piece and one character; `copy_plain` may write 16 bytes more.
        constexpr std::size_t piece = 2048, slack = 32;
        if (at_ == end_ || *at_ != '"') return false;
        char buffer[4096];
        char* to = buffer;
        out.clear();
        for (const char* at = at_ + 1; at != end_;) {
            if (buffer + sizeof buffer - to < std::ptrdiff_t{piece + slack}) out.append(buffer, to), to = buffer;
            to = copy_plain(to, at, end_ - at > std::ptrdiff_t{piece} ? at + piece : end_);
            if (at == end_) return false;
            if (*at == '"') {
                out.append(buffer, to);
                at_ = at + 1;
                return true;
            }
            if (*at == '\\') {
                if (end_ - at < 2) return false;
                const char meant = unescaped(at[1]);
                if (meant == '\0') return false;
                *to++ = meant;
                at += 2;
            } else if (static_cast<unsigned char>(*at) < 0x20) {
                return false;
            } else if (static_cast<unsigned char>(*at) >= 0x80) {
                const auto length = utf8_length(at, end_);
                if (length == 0) return false;
                to = std::copy_n(at, length, to);
                at += length;
            }
        }
        return false;
    }
    static char unescaped(char escape) {
        switch (escape) {
            case '"':
            case '\\': return escape;
            case 'n': return '\n';
            case 'r': return '\r';
            case 't': return '\t';
            default: return '\0';
        }
    }

    bool request(Message& message) {
        if (literal(R"(,"method":"pb.execute","params":)")) return take(message.emplace<Execute>());
        if (literal(R"(,"method":"replica.append","params":)")) return take(message.emplace<Append>());
        if (literal(R"(,"method":"pb.query","params":)")) return take(message.emplace<Query>());
        if (literal(R"(,"method":"view.ping","params":)")) return take(message.emplace<Ping>());
        return literal(R"(,"method":"replica.install","params":)") && take(message.emplace<Install>());
    }
    // An answer does not name its method. The id does, since this process made it (protocol/call_id.hpp).
    bool answer(const CallId& id, Message& message) {
        if (!literal(R"(,"result":)")) return false;
        switch (call_method(id)) {
            case Method::pb_execute: return take(message.emplace<ExecuteResult>());
            case Method::pb_query: return take(message.emplace<QueryResult>());
            case Method::replica_append: return take(message.emplace<AppendResult>());
            default: return false;
        }
    }

    // ---- messages ---------------------------------------------------------------------------------------

    bool take(Execute& it) {
        return address(it) && in_session(it) && literal(R"(,"command":)") && json(it.command) && literal("}");
    }
    bool take(Query& it) { return address(it) && literal(R"(,"query":)") && json(it.query) && literal("}"); }
    bool take(Append& it) {
        if (!address(it) || !literal(R"(,"view":)") || !take(it.view.number) || !literal(R"(,"prev":)") ||
            !take(it.prev))
            return false;
        if (literal(R"(,"entries":[)")) do {
                if (!take(it.entries.emplace_back())) return false;
            } while (!literal("]") && literal(","));
        return literal(R"(,"commit":)") && take(it.commit) && optional(R"(,"round":)", it.round) && literal("}");
    }
    // `data` may lie in the payload (no escapes) or in `it.data` already, so it is copied only in the first case. Any
    // protocol number of up to three digits is read: the receiver, not the decoder, refuses another version.
    bool take(Install& it) {
        std::string_view group, data;
        std::uint64_t protocol = 0;
        if (!literal(R"({"protocol":)") || !take(protocol) || protocol > 999 || !literal(R"(,"cluster":)") ||
            !take(it.cluster) || !literal(R"(,"group":)") || !plain(group) || !literal(R"(,"view":)") ||
            !take(it.view.number) || !literal(R"(,"snapshot":{"by":)") || !take(it.snapshot.by) ||
            !literal(R"(,"at":)") || !take(it.snapshot.at) || !literal(R"(},"chunk":)") || !take(it.chunk) ||
            !literal(R"(,"data":)") || !bytes(data, it.data))
            return false;
        it.protocol = static_cast<int>(protocol);
        it.group = group;
        if (data.data() != it.data.data()) it.data = data;
        it.last = literal(R"(,"last":true)");
        return literal("}");
    }
    // An entry of kind `command`. Entries of other kinds are rare and left to the general decoder.
    bool take(Entry& it) {
        return literal(R"({"at":)") && take(it.at) && in_session(it) && literal(R"(,"command":)") && json(it.command) &&
               literal("}");
    }
    // ExecuteResult and QueryResult.
    template <typename Result>
    requires requires(Result& it) { it.value; }
    bool take(Result& it) {
        return literal(R"({"at":)") && take(it.at) && literal(R"(,"value":)") && json(it.value) && literal("}");
    }
    bool take(AppendResult& it) {
        return literal(R"({"view":)") && take(it.view) && literal(R"(,"match":)") && take(it.match) &&
               optional(R"(,"round":)", it.round) && features(it.features) && literal("}");
    }

    /// The ping of a server without special news: nothing about unreachable backups, leaving, stopping, recovered
    /// incarnations or another cluster.
    bool take(Ping& it) {
        return literal(R"({"protocol":1,"group":)") && take(it.group) && literal(R"(,"server":)") && take(it.server) &&
               literal(R"(,"incarnation":)") && take(it.incarnation) && literal(R"(,"n":)") && take(it.n) &&
               literal(R"(,"viewnum":)") && take(it.viewnum) && optional(R"(,"cluster":)", it.cluster) &&
               optional(R"(,"synced":)", it.synced) && flag(R"(,"lease":true)", it.lease) &&
               features(it.features) && optional(R"(,"knew":)", it.knew) &&
               optional(R"(,"state_view":)", it.state_view) && flag(R"(,"journal":true)", it.journal) && literal("}");
    }

    // ---- parts that several messages have ---------------------------------------------------------------

    /// The cluster and the group that the message is for.
    bool address(auto& it) {
        return literal(R"({"cluster":)") && take(it.cluster) && literal(R"(,"group":)") && take(it.group);
    }
    /// The optional list of features. A list with names that this version would not write is left to the general
    /// decoder, which skips such names.
    bool features(Features& list) {
        return !literal(R"(,"features":)") ||
               (take(list) && list.size() <= max_features && std::ranges::all_of(list, is_feature));
    }
    // A boolean member, which is written only if it is true.
    template <std::size_t size>
    bool flag(const char (&member)[size], bool& value) {
        if (literal(member)) value = true;
        return true;
    }
    bool in_session(auto& it) {
        return optional(R"(,"session":)", it.session) && optional(R"(,"seq":)", it.seq) &&
               optional(R"(,"low":)", it.low);
    }
    template <std::size_t size, typename T>
    bool optional(const char (&name)[size], T& value) {
        return !literal(name) || take(value);
    }
    template <std::size_t size, typename T>
    bool optional(const char (&name)[size], std::optional<T>& value) {
        return !literal(name) || take(value.emplace());
    }

    // ---- values -----------------------------------------------------------------------------------------

    // A number of at most 19 digits, which cannot overflow. Leading zeros are no JSON.
    bool take(std::uint64_t& number) {
        const char* const start = at_;
        number = 0;
        for (; at_ != end_ && *at_ >= '0' && *at_ <= '9'; ++at_) number = number * 10 + std::uint64_t(*at_ - '0');
        const auto digits = at_ - start;
        return digits > 0 && digits <= 19 && (*start != '0' || digits == 1);
    }
    bool take(Position& it) { return literal("[") && take(it.view) && literal(",") && take(it.index) && literal("]"); }
    bool take(std::string& text) {
        std::string_view found;
        if (!plain(found)) return false;
        text = found;
        return true;
    }
    bool take(std::vector<std::string>& list) {
        if (!literal("[")) return false;
        if (literal("]")) return true;
        do {
            if (!take(list.emplace_back())) return false;
        } while (literal(","));
        return literal("]");
    }
    // An incarnation or a cluster id: 16 lower-case hexadecimal digits in quotes, 18 characters.
    template <typename Token>
    requires std::is_enum_v<Token>
    bool take(Token& token) {
        if (end_ - at_ < 18 || at_[0] != '"' || at_[17] != '"') return false;
        std::uint64_t value = 0;
        for (int i = 1; i <= 16; ++i) {
            const char digit = at_[i];
            if (digit >= '0' && digit <= '9')
                value = value << 4 | std::uint64_t(digit - '0');
            else if (digit >= 'a' && digit <= 'f')
                value = value << 4 | std::uint64_t(digit - 'a' + 10);
            else
                return false;
        }
        token = Token{value};
        at_ += 18;
        return true;
    }
    /// Any JSON value, as its text. Most values are strings or objects of strings, which need no full scanner. Every
    /// other value is checked by the scanner: text that is no JSON must not reach a store or a log.
    bool json(JsonText& out) {
        const char* const start = at_;
        if (std::string_view text; !plain(text) && !object_of_strings()) {
            Scanner scan{{start, static_cast<std::size_t>(end_ - start)}};
            const auto value = scan.value();
            at_ = scan.mark();
            out = value;
            return !value.empty();
        }
        out.assign(start, at_);
        return true;
    }
    bool object_of_strings() {
        std::string_view text;
        if (!literal("{")) return false;
        do {
            if (!plain(text) || !literal(":") || !plain(text)) return false;
        } while (literal(","));
        return literal("}");
    }

    const char* at_;
    const char* end_;
};

}  // namespace understudy::wire
