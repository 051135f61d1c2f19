// The JSON of the key/value store's commands, queries, replies and snapshot lines (protocol, section 12). It is read
// and written without a DOM, since that is most of what a busy primary does with a command.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>

#include <understudy/kv_types.hpp>
#include <understudy/text_store.hpp>
#include <understudy/wire/bytes.hpp>
#include <understudy/wire/fast_scanner.hpp>
#include <understudy/wire/scan.hpp>
#include <understudy/wire/text.hpp>
#include <understudy/wire/writer.hpp>

namespace understudy::kv {

/// The members that any object of the key/value store may have; those that are absent or `null` are empty. Unknown
/// members are ignored. A known member that has a value already is refused when it comes again: other readers might
/// take the other one.
struct KvMembers {
    std::optional<std::string> op, key, value, expect, prefix, after, error;
    std::optional<std::uint64_t> limit;
    std::optional<bool> ok;

    /// Reads one object. Throws `std::invalid_argument`, which says what is wrong and what was expected.
    static KvMembers read(wire::Scanner& scan) {
        KvMembers members;
        bool good = scan.members([&](std::string_view name) {
            if (auto* text = members.text(name)) return members.read_text(scan, name, *text);
            if (name == "limit") return members.read_limit(scan);
            if (name == "ok") return members.read_ok(scan);
            return !scan.value().empty();
        });
        if (!good || !scan.end()) throw std::invalid_argument(scan.error());
        return members;
    }

    /// Takes the value of a member that `op` requires. Throws `std::invalid_argument` if it is absent.
    static std::string need(std::optional<std::string>& member, std::string_view name, std::string_view op) {
        if (!member) throw std::invalid_argument(std::string{op} + " needs the member '" + std::string{name} + "'");
        return std::move(*member);
    }

private:
    /// The member of this name that holds a byte string; null for other names.
    std::optional<std::string>* text(std::string_view name) {
        if (name == "key") return &key;
        if (name == "value") return &value;
        if (name == "op") return &op;
        if (name == "expect") return &expect;
        if (name == "prefix") return &prefix;
        if (name == "after") return &after;
        if (name == "error") return &error;
        return nullptr;
    }

    bool read_text(wire::Scanner& scan, std::string_view name, std::optional<std::string>& member) {
        if (member) twice(name);
        auto kind = scan.peek();
        if (kind == wire::Kind::null) return !scan.value().empty();  // as if it were absent
        if (kind != wire::Kind::string && kind != wire::Kind::object) wrong(name, R"(a string or {"b64":"..."})", scan);
        if (wire::scan_bytes(scan, member.emplace())) return true;
        if (!scan.ok()) return false;
        throw std::invalid_argument("member '" + std::string{name} +
                                    R"(': expected {"b64":"..."} with strict base64 and nothing else)");
    }
    bool read_limit(wire::Scanner& scan) {
        if (limit) twice("limit");
        if (scan.peek() == wire::Kind::null) return !scan.value().empty();  // as if it were absent
        const auto* mark = scan.mark();
        auto text = scan.value();
        if (text.empty()) return false;
        auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), limit.emplace());
        if (fault == std::errc{} && end == text.data() + text.size()) return true;
        scan.rewind(mark);  // so that the error text can quote the value
        wrong("limit", "a whole number", scan);
    }
    bool read_ok(wire::Scanner& scan) {
        if (ok) twice("ok");
        if (scan.peek() == wire::Kind::null) return !scan.value().empty();
        if (scan.peek() != wire::Kind::boolean) wrong("ok", "a boolean", scan);
        auto text = scan.value();
        ok = text == "true";
        return !text.empty();
    }

    [[noreturn]] static void twice(std::string_view name) {
        throw std::invalid_argument("member '" + std::string{name} + "' stands there twice");
    }
    [[noreturn]] static void wrong(std::string_view name, std::string_view expected, wire::Scanner& scan) {
        auto found = scan.value();
        throw std::invalid_argument("member '" + std::string{name} + "': expected " + std::string{expected} +
                                    ", found " + (found.empty() ? "no value" : wire::quoted(found)));
    }
};

/// The members of the object that `text` is. Throws `std::invalid_argument`.
inline KvMembers read_kv_members(std::string_view text) {
    wire::Scanner scan{text};
    return KvMembers::read(scan);
}

/// The fast path for the commands that come most often: a put or an append in exactly the form that `encode_kv` writes,
/// with a key and a value that need no escapes. Nothing is copied: `key` and `value` are views into the text.
struct FastKvCommand {
    bool put = false;
    std::string_view key, value;

    /// Nothing if the text has another form. That does not mean that it is wrong: then the general decoder decides.
    static std::optional<FastKvCommand> read(std::string_view text) {
        wire::FastScanner form{text};
        FastKvCommand it;
        it.put = form.piece(put_head);
        if (!it.put && !form.piece(append_head)) return std::nullopt;
        const bool good =
            form.plain(it.key) && form.piece(middle) && form.plain(it.value) && form.literal("}") && form.at_end();
        return good ? std::optional{it} : std::nullopt;
    }
    /// What `again` needs: which command it is, and the lengths of its key and value.
    PreparedCommand prepared() const {
        return {{put ? 1u : 2u, static_cast<std::uint32_t>(key.size()), static_cast<std::uint32_t>(value.size())}};
    }
    /// The same as `read` without reading: `prepared` is that of this text. Nothing if it is empty.
    static std::optional<FastKvCommand> again(std::string_view text, const PreparedCommand& prepared) {
        const auto& [what, key, value, unused] = prepared.words;
        if (what == 0) return std::nullopt;
        const bool put = what == 1;
        const auto key_at = (put ? put_head : append_head).size() + 1;  // the quote
        return FastKvCommand{put, text.substr(key_at, key), text.substr(key_at + key + middle.size() + 2, value)};
    }
    kv::Command command() const {
        if (put) return kv::Put{std::string{key}, std::string{value}};
        return kv::Append{std::string{key}, std::string{value}};
    }

private:
    static constexpr std::string_view put_head = R"({"op":"put","key":)", append_head = R"({"op":"append","key":)",
                                      middle = R"(,"value":)";
};

/// The general decoder of commands: takes every form that the protocol allows. Throws `std::invalid_argument`.
inline kv::Command decode_any_kv_command(std::string_view text) {
    auto members = read_kv_members(text);
    auto op = KvMembers::need(members.op, "op", "a command");
    auto key = [&] { return KvMembers::need(members.key, "key", op); };
    auto value = [&] { return KvMembers::need(members.value, "value", op); };
    if (op == "put") return kv::Put{key(), value()};
    if (op == "append") return kv::Append{key(), value()};
    if (op == "erase") return kv::Erase{key()};
    if (op == "cas") return kv::Cas{key(), value(), std::move(members.expect)};
    throw std::invalid_argument("unknown op '" + wire::quoted(op) + "', expected put, append, erase or cas");
}

/// Decodes a command. Throws `std::invalid_argument`, which says what is wrong and what was expected.
inline kv::Command decode_kv_command(std::string_view text) {
    if (const auto fast = FastKvCommand::read(text)) return fast->command();
    return decode_any_kv_command(text);
}

/// The fast path for queries: the key of a `get` in exactly the form that `encode_kv` writes, with a key that needs no
/// escapes. Nothing if the text has another form; then the general decoder decides.
inline std::optional<std::string_view> fast_kv_get(std::string_view text) {
    wire::FastScanner form{text};
    std::string_view key;
    const bool good = form.literal(R"({"op":"get","key":)") && form.plain(key) && form.literal("}") && form.at_end();
    return good ? std::optional{key} : std::nullopt;
}

/// Decodes a query. Throws `std::invalid_argument`, also for a `limit` out of range.
inline kv::Query decode_kv_query(std::string_view text) {
    auto members = read_kv_members(text);
    auto op = KvMembers::need(members.op, "op", "a query");
    if (op == "get") return kv::Get{KvMembers::need(members.key, "key", op)};
    if (op != "keys") throw std::invalid_argument("unknown op '" + wire::quoted(op) + "', expected get or keys");
    auto limit = members.limit.value_or(kv::default_page);
    if (limit == 0 || limit > kv::max_page)
        throw std::invalid_argument("member 'limit' must be 1 to " + std::to_string(kv::max_page));
    return kv::Keys{std::move(members.prefix).value_or(""), std::move(members.after), limit};
}

/// Decodes one line of a snapshot, without its end of line. Throws `std::invalid_argument`.
inline kv::Record decode_kv_record(std::string_view line) {
    auto members = read_kv_members(line);
    auto key = KvMembers::need(members.key, "key", "a line");
    return {std::move(key), KvMembers::need(members.value, "value", "a line")};
}

/// The fast path for replies: `null`, or a string without escapes. Nothing if the text has another form.
inline std::optional<kv::Reply> fast_kv_reply(std::string_view text) {
    if (text == "null") return std::monostate{};
    wire::FastScanner form{text};
    std::string_view value;
    if (!form.plain(value) || !form.at_end()) return std::nullopt;
    return std::string{value};
}

/// Decodes a reply. The text does not say which command or query it answers: its form decides which alternative of
/// `kv::Reply` it is. Throws `std::invalid_argument` if it has the form of none.
inline kv::Reply decode_kv_reply(std::string_view text) {
    if (auto fast = fast_kv_reply(text)) return std::move(*fast);
    wire::Scanner scan{text};
    auto finish = [&](kv::Reply reply) {
        if (!scan.ok() || !scan.end()) throw std::invalid_argument(scan.error());
        return reply;
    };
    auto kind = scan.peek();
    if (kind == wire::Kind::array) {
        kv::Page keys;
        if (!scan.elements([&] { return wire::scan_bytes(scan, keys.emplace_back()); }))
            throw std::invalid_argument("expected an array of keys");
        return finish(std::move(keys));
    }
    // {"b64": …} is a value. But an object that only contains "b64" deeper inside, as the result of a `cas` with such a
    // value, is not: then this attempt fails, and the object is read by its members.
    if (kind == wire::Kind::string || (kind == wire::Kind::object && text.find("\"b64\"") != text.npos)) {
        std::string value;
        if (auto mark = scan.mark(); wire::scan_bytes(scan, value))
            return finish(std::move(value));
        else
            scan.rewind(mark);
    }
    if (kind == wire::Kind::object) {
        auto members = KvMembers::read(scan);
        if (members.ok) return kv::CasResult{*members.ok, std::move(members.value)};
        if (members.error == "too_large" && members.limit) return kv::TooLarge{*members.limit};
        throw std::invalid_argument("an object that no answer of this store looks like");
    }
    auto word = scan.value();
    if (kind == wire::Kind::null) return finish(std::monostate{});
    if (kind == wire::Kind::boolean) return finish(word == "true");
    std::uint64_t length = 0;
    auto [end, fault] = std::from_chars(word.data(), word.data() + word.size(), length);
    if (word.empty() || fault != std::errc{} || end != word.data() + word.size())
        throw std::invalid_argument(scan.ok() ? "expected a length" : scan.error());
    return finish(length);
}

/// About how long the text of a command with a key and a value becomes.
inline std::size_t kv_text_size(std::string_view key, std::string_view value) { return key.size() + value.size() + 40; }

// The commands and queries that come most often, in the form that the fast paths above read.
inline void append_kv_put(std::string& out, std::string_view key, std::string_view value) {
    out.reserve(out.size() + kv_text_size(key, value));
    wire::Writer text{out};
    text.put(R"({"op":"put","key":)").string(key);
    text.put(R"(,"value":)").string(value);
    text.put("}").flush();
}
inline void append_kv_append(std::string& out, std::string_view key, std::string_view value) {
    out.reserve(out.size() + kv_text_size(key, value));
    wire::Writer text{out};
    text.put(R"({"op":"append","key":)").string(key);
    text.put(R"(,"value":)").string(value);
    text.put("}").flush();
}
inline void append_kv_get(std::string& out, std::string_view key) {
    wire::Writer text{out};
    text.put(R"({"op":"get","key":)").string(key);
    text.put("}").flush();
}

/// Writes commands, queries and replies as JSON text. Each member has its fixed place and no blank is written: the fast
/// paths above rely on this form.
class KvWriter {
public:
    explicit KvWriter(std::string& out) : out_{out} {}

    /// Appends text as it is.
    KvWriter& raw(std::string_view text) {
        out_ += text;
        return *this;
    }
    /// Appends `name`, which is a member's name with its punctuation, and then a byte string or a number.
    KvWriter& bytes(std::string_view name, std::string_view value) {
        out_ += name;
        wire::encode_bytes(out_, value);
        return *this;
    }
    KvWriter& number(std::string_view name, std::uint64_t value) {
        out_ += name;
        wire::append_number(out_, value);
        return *this;
    }

    void operator()(const kv::Put& put) { append_kv_put(out_, put.key, put.value); }
    void operator()(const kv::Append& append) { append_kv_append(out_, append.key, append.value); }
    void operator()(const kv::Erase& erase) { raw(R"({"op":"erase")").bytes(R"(,"key":)", erase.key).raw("}"); }
    void operator()(const kv::Cas& cas) {
        out_.reserve(out_.size() + kv_text_size(cas.key, cas.value));
        raw(R"({"op":"cas")").bytes(R"(,"key":)", cas.key).bytes(R"(,"value":)", cas.value);
        if (cas.expect) bytes(R"(,"expect":)", *cas.expect);
        raw("}");
    }
    void operator()(const kv::Get& get) { append_kv_get(out_, get.key); }
    void operator()(const kv::Keys& keys) {
        raw(R"({"op":"keys")");
        if (!keys.prefix.empty()) bytes(R"(,"prefix":)", keys.prefix);
        if (keys.after) bytes(R"(,"after":)", *keys.after);
        if (keys.limit != kv::default_page) number(R"(,"limit":)", keys.limit);
        raw("}");
    }

    void operator()(std::monostate) { raw("null"); }
    void operator()(bool yes) { raw(yes ? "true" : "false"); }
    void operator()(std::uint64_t length) { number("", length); }
    void operator()(const std::string& value) { bytes("", value); }
    void operator()(const kv::Page& keys) {
        const char* before = "[";
        for (const auto& key : keys) bytes(std::exchange(before, ","), key);
        raw(keys.empty() ? "[]" : "]");
    }
    void operator()(const kv::CasResult& result) {
        raw(result.ok ? R"({"ok":true,"value":)" : R"({"ok":false,"value":)");
        result.value ? bytes("", *result.value) : raw("null");
        raw("}");
    }
    void operator()(const kv::TooLarge& refusal) { number(R"({"error":"too_large","limit":)", refusal.limit).raw("}"); }

private:
    std::string& out_;
};

/// Encodes a command, a query or a reply as JSON text.
template <typename... Alternatives>
std::string encode_kv(const std::variant<Alternatives...>& value) {
    std::string out;
    std::visit(KvWriter{out}, value);
    return out;
}

/// Appends one line of a snapshot, with its end of line.
inline void append_kv_line(std::string& out, std::string_view key, std::string_view value) {
    KvWriter{out}.bytes(R"({"key":)", key).bytes(R"(,"value":)", value).raw("}\n");
}

}  // namespace understudy::kv
