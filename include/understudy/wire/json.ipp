// The definitions of json.hpp: the JSON-RPC envelope around the bodies, whose field lists are in messages.hpp. With
// UNDERSTUDY_SEPARATE_COMPILATION this file is compiled once.
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include <understudy/base/config.hpp>
#include <understudy/error.hpp>
#include <understudy/protocol/call_id.hpp>
#include <understudy/protocol/message.hpp>
#include <understudy/version.hpp>
#include <understudy/wire/fast_decoder.hpp>
#include <understudy/wire/json.hpp>
#include <understudy/wire/messages.hpp>
#include <understudy/wire/methods.hpp>
#include <understudy/wire/scan.hpp>

namespace understudy::wire {

// ---- writing ---------------------------------------------------------------------------------------------

namespace detail {
inline void write(Writer& to, const CallId& id) { id.is_number() ? to.number(id.number()) : to.put(id.text()); }

template <typename M>
void encode_as(Writer& to, const CallId& id, const M& message) {
    constexpr auto method = std::same_as<M, ViewChanged> ? Method::view_changed : requested_by<M>();
    constexpr bool is_response = method == Method::none;
    to.put(R"({"jsonrpc":"2.0")");
    if (!id.empty()) write(to.put(R"(,"id":)"), id);
    else if (is_response) to.put(R"(,"id":null)");
    if constexpr (!is_response) to.put(R"(,"method":")").put(to_string(method)).put(R"(","params":)");
    else to.put(std::same_as<M, Failure> ? R"(,"error":)" : R"(,"result":)");
    write(to, message);
    to.put("}");
}
}  // namespace detail

UNDERSTUDY_DECL void encode(std::string& out, const CallId& id, const Message& message) {
    Writer to{out};
    std::visit([&](const auto& it) { detail::encode_as(to, id, it); }, message);
    to.flush();
}
UNDERSTUDY_DECL std::string encode(const CallId& id, const Message& message) {
    std::string out;
    encode(out, id, message);
    return out;
}

// ---- reading ---------------------------------------------------------------------------------------------

namespace detail {

/// The member `protocol` alone. A sender of another major version gets `unsupported_version` even if the rest of its
/// message has changed and cannot be read.
struct Spoken {
    int protocol = protocol_version;
};
void fields(auto& visit, Like<Spoken> auto& spoken) { visit.optional("protocol", spoken.protocol); }

/// Decodes one payload. The body (`params`, `result` or `error`) is read in place if its type is known when it comes:
/// from the method of a request, or from the id of an answer. Requests and answers that `encode` wrote have that order.
/// Otherwise, and for notifications, which have no id, the body's text is stored and read at the end.
class Decoding {
public:
    explicit Decoding(std::string_view payload) : scan_{payload} {}

    std::variant<Decoded, DecodeError> run() {
        if (const auto kind = scan_.peek(); kind != Kind::object) {
            if (scan_.value().empty() || !scan_.end()) return not_json();
            return refuse(error::invalid_request, kind == Kind::array
                                                      ? "batches are not supported: a frame carries one message"
                                                      : "expected an object, found " + std::string{describe(kind)});
        }
        if (!scan_.members([this](std::string_view name) { return member(name); }) || !scan_.end()) return not_json();
        if (auto wrong = check_envelope(); !wrong.empty()) return refuse(error::invalid_request, std::move(wrong));
        if (is_call() && method_ == Method::none)
            return refuse(error::unknown_method, "unknown method " + wire::quoted(method_name_));
        if (body_state_ == State::kept || body_state_ == State::none) {
            Scanner body{body_state_ == State::none ? std::string_view{"{}"} : body_};
            read_body(body);
        }
        if (body_state_ != State::read) return refuse(code_, std::move(fault_));
        return Decoded{std::move(id_), std::move(message_)};
    }

private:
    // Of the body: not there yet, text stored, read into the message, read with a fault.
    enum class State { none, kept, read, faulty };

    // ---- the members of the envelope --------------------------------------------------------------------

    // Consumes one member. Returns false only if the text is no JSON: a wrong envelope is noted and the walk goes on,
    // so that text that is no JSON is reported as such, and the id is known for the error.
    bool member(std::string_view name) {
        if (name == "jsonrpc") return note(version_seen_), (version_ = scan_.value()).size() > 0;
        if (name == "id") return note(id_seen_), take_id();
        if (name == "method") return note(method_seen_), take_method();
        if (name == "params" || name == "result" || name == "error") {
            if (!body_name_.empty()) problem("expected one of params, result and error, found two");
            body_name_ = name == "params" ? "params" : name == "result" ? "result" : "error";  // outlives `name`
            return take_body();
        }
        return !scan_.value().empty();
    }

    // Notes the first fault of the envelope.
    void problem(std::string text) {
        if (envelope_fault_.empty()) envelope_fault_ = std::move(text);
    }
    void note(bool& seen) {
        if (seen) problem("a member stands there twice");
        seen = true;
    }

    // The id is stored as its JSON text, so that it is echoed to the letter: `"1"` and `1` are different ids.
    bool take_id() {
        const auto kind = scan_.peek();
        const auto text = scan_.value();
        const bool fits = kind == Kind::string || (kind == Kind::number && text.find_first_of(".eE") == text.npos);
        if (text.size() > max_id)
            problem("id: longer than " + std::to_string(max_id) + " bytes");
        else if (fits)
            id_ = text;
        else if (kind != Kind::null)
            problem("id: expected an integer or a string, found " + wire::quoted(text));
        return !text.empty();
    }

    bool take_method() {
        const auto kind = scan_.peek();
        if (kind == Kind::string) {
            const bool good = scan_.string(method_name_);
            method_ = find_method(method_name_);
            return good;
        }
        problem("method: expected a string, found " + std::string{describe(kind)});
        return !scan_.value().empty();
    }

    bool take_body() {
        const char* const start = scan_.mark();
        const bool known = body_name_ == "params" ? method_ != Method::none : !id_.empty() || body_name_ == "error";
        if (known && id_seen_ && envelope_fault_.empty() && read_body(scan_)) return true;
        scan_.rewind(start);  // the body was not read or had a fault: go over it again to see whether it is JSON
        body_ = scan_.value();
        if (body_state_ == State::none) body_state_ = State::kept;
        return !body_.empty();
    }

    // ---- the body ---------------------------------------------------------------------------------------

    // Reads the body as the message that the method or the id names.
    bool read_body(Scanner& scan) {
        if (body_name_ == "error") return read_as<Failure>(scan);
        if (body_name_ == "result")
            return with_call(answered(), false, [&]<typename C>() { return read_as<typename C::Result>(scan); });
        if (method_ == Method::view_changed) return read_as<ViewChanged>(scan);
        return with_call(method_, false, [&]<typename C>() { return read_as<typename C::Request>(scan); });
    }

    template <typename M>
    bool read_as(Scanner& scan) {
        const char* const start = scan.mark();
        Reader in{scan};
        auto& message = message_.emplace<M>();
        body_state_ = read(in, message) ? State::read : State::faulty;
        if constexpr (std::same_as<M, Failure>) message.to = to_string(answered());
        return body_state_ == State::read || fault(
                                                 in, start, requires { message.protocol; });
    }

    // Notes why the body could not be read. Out of line, because `read_as` is instantiated for every message.
    [[gnu::noinline]] bool fault(Reader& in, const char* start, bool has_protocol) {
        code_ = is_call() ? error::invalid_params : error::invalid_request;
        in.within(body_name_.empty() ? "params" : body_name_);
        fault_ = in.place + ": " + in.problem;
        if (has_protocol) check_protocol(in.scan, start);
        return false;
    }

    // Another protocol version explains any other fault of the body, so it is the one to report.
    void check_protocol(Scanner& scan, const char* start) {
        scan.rewind(start);
        Reader in{scan};
        Spoken spoken;
        if (!read(in, spoken) || spoken.protocol == protocol_version) return;
        code_ = error::unsupported_version;
        fault_ = "protocol " + std::to_string(spoken.protocol) + " is not supported, only " +
                 std::to_string(protocol_version);
    }

    // ---- the envelope -----------------------------------------------------------------------------------

    /// The method of the call that the id names; `none` if `make_call_id` did not make the id.
    Method answered() const {
        const auto method = call_method(id_);
        return method == Method::view_changed ? Method::none : method;
    }
    bool is_call() const { return method_seen_ || body_name_ == "params"; }

    // What is wrong with the members beside the body, or an empty string.
    std::string check_envelope() const {
        if (!envelope_fault_.empty()) return envelope_fault_;
        if (version_ != "\"2.0\"")
            return "jsonrpc: expected \"2.0\", found " + (version_seen_ ? wire::quoted(version_) : "nothing");
        if (!method_seen_ && body_name_.empty()) return "expected a method, a result or an error";
        if (!method_seen_ && body_name_ == "params") return "method: missing";
        if (method_seen_ && (body_name_ == "result" || body_name_ == "error"))
            return "expected a method or an answer, found both";
        if (method_ == Method::view_changed && id_seen_) return "view.changed is a notification: it has no id";
        if (method_ != Method::none && method_ != Method::view_changed && id_.empty())
            return "id: " + wire::quoted(method_name_) + " needs one, an integer or a string";
        if (body_name_ == "result" && answered() == Method::none)
            return "an answer to a call that was not made here, id " +
                   (id_.empty() ? "null" : wire::quoted(id_.json()));
        return {};
    }

    DecodeError not_json() const { return {{}, error::parse_error, scan_.error(), {}, true}; }
    DecodeError refuse(error code, std::string text) {
        auto method = is_call() ? method_name_ : std::string{to_string(answered())};
        const bool answer = body_name_ != "result" && body_name_ != "error" &&
                            !(method_seen_ && method_ == Method::none && !id_seen_);  // an unknown notification
        return {std::move(id_), code, std::move(text), std::move(method), answer};
    }

    Scanner scan_;
    bool version_seen_ = false, id_seen_ = false, method_seen_ = false;
    std::string_view version_;
    CallId id_;
    std::string method_name_;
    Method method_ = Method::none;
    std::string envelope_fault_;

    std::string_view body_name_;  // params, result or error
    std::string_view body_;       // its text, if it was not read in place
    State body_state_ = State::none;
    Message message_;
    error code_ = error::invalid_params;
    std::string fault_;
};

}  // namespace detail

UNDERSTUDY_DECL std::variant<Decoded, DecodeError> decode_any(std::string_view payload) {
    return detail::Decoding{payload}.run();
}

UNDERSTUDY_DECL std::variant<Decoded, DecodeError> decode(std::string_view payload) {
    std::variant<Decoded, DecodeError> outcome;
    auto& [id, message] = std::get<Decoded>(outcome);
    if (MessageView view; decode_view(payload, id, view)) message = owned(view);
    else if (!FastDecoder<Message>{payload}.read(id, message)) outcome = decode_any(payload);
    return outcome;
}

UNDERSTUDY_DECL bool decode_view(std::string_view payload, CallId& id, MessageView& message) {
    return FastDecoder<MessageView>{payload}.read(id, message);
}

}  // namespace understudy::wire
