// Random messages of every kind, each member drawn, for round trips. Positional initialisers on purpose: a member
// that is added to a message and not drawn here is a compiler warning.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <understudy/protocol/call_id.hpp>
#include <understudy/wire/methods.hpp>
#include <understudy/wire/text.hpp>

namespace understudy::test {

using namespace protocol;

class RandomMessages {
public:
    explicit RandomMessages(std::uint32_t seed) : random_{seed} {}

    static constexpr std::size_t kinds = std::variant_size_v<Message>;

    /// A message of the given alternative, with an id that fits it.
    Envelope make(std::size_t kind) {
        Envelope envelope;
        make_at<0>(kind, envelope);
        return envelope;
    }

private:
    template <std::size_t I>
    void make_at(std::size_t kind, Envelope& out) {
        if constexpr (I < kinds) {
            if (kind == I) fill(out, draw(static_cast<std::variant_alternative_t<I, Message>*>(nullptr)));
            else make_at<I + 1>(kind, out);
        }
    }

    template <typename M>
    void fill(Envelope& out, M message) {
        const auto n = number() & 0xFFFFFFFFFFFF;
        if constexpr (std::is_same_v<M, Failure>) {
            const auto method = any_method();
            message.to = to_string(method);
            out.id = make_call_id(method, n);
        } else if constexpr (wire::Request<M>) {
            out.id = wire::make_id(Message{message}, n);
        } else if constexpr (!std::is_same_v<M, ViewChanged>) {
            out.id = make_call_id(answered_with<M>(), n);
        }
        out.message = std::move(message);
    }

    template <typename M>
    static Method answered_with() {
        auto found = Method::none;
        [&]<typename... C>(std::tuple<C...>*) {
            ((std::is_same_v<M, typename C::Result> ? void(found = C::method) : void()), ...);
        }(static_cast<wire::detail::Calls*>(nullptr));
        return found;
    }
    Method any_method() {
        const auto method = static_cast<Method>(1 + below(14));
        return method == Method::view_changed ? Method::view_ping : method;
    }

    // ---- values ---------------------------------------------------------------------------------------------

    std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_() % n); }
    bool flip() { return below(2) == 1; }
    std::uint64_t number() {
        const auto bits = below(65);
        const auto value = static_cast<std::uint64_t>(random_()) << 32 | random_();
        return bits == 0 ? 0 : value >> (64 - bits);
    }
    int protocol() { return static_cast<int>(below(3)); }
    Position position() { return flip() ? Position{} : Position{number(), number()}; }
    Incarnation incarnation() { return Incarnation{number()}; }
    ClusterId cluster() { return ClusterId{number()}; }
    /// Fractions are 64ths of a millisecond, which every JSON library writes exactly, because they are exact in binary.
    Duration duration() {
        const Duration whole = std::chrono::milliseconds{below(1'000'000)};
        return flip() ? whole : whole + Duration{15'625 * below(64)};
    }
    std::string text() {
        std::string out;
        for (auto length = below(12); length > 0; --length) {
            constexpr std::uint32_t limits[] = {0x80, 0x80, 0x800, 0xD800, 0x110000};
            auto code = static_cast<std::uint32_t>(below(limits[below(5)]));
            if (code >= 0xD800 && code < 0xE000) code = '\\';
            wire::append_utf8(out, code);
        }
        return out;
    }
    std::string bytes() {
        std::string out;
        for (auto length = below(30); length > 0; --length) out.push_back(static_cast<char>(below(256)));
        return flip() ? out : text();
    }
    JsonText json() {
        constexpr std::string_view texts[] = {"null", "0", "-1.50e+3", "\"\\u0041\\ud83d\\ude00\"",
                                              "[1, [], {\"a\":  1}]", "{ }",
                                              R"({"op":"put","key":{"b64":"//4="},"value":"x"})"};
        return std::string{texts[below(std::size(texts))]};
    }
    template <typename Draw>
    auto list(Draw&& draw_one) {
        std::vector<decltype(draw_one())> out;
        for (auto length = below(4); length > 0; --length) out.push_back(draw_one());
        return out;
    }
    std::vector<std::string> names() { return list([this] { return text(); }); }
    Features features() {
        return list([this] { return std::string(1 + below(max_feature), static_cast<char>(0x21 + below(0x5e))); });
    }
    template <typename T>
    std::optional<T> maybe(T value) {
        return flip() ? std::optional{std::move(value)} : std::nullopt;
    }

    ViewInfo view() {
        View view;
        if (flip()) {
            view.number = number() | 1;
            view.forced = flip() ? number() : 0;
            view.primary = {"p" + text(), incarnation(), false};
            for (auto count = below(4); count > 0; --count)
                view.backups.push_back({std::to_string(count) + text(), incarnation(), flip()});
        }
        return {text(), cluster(), duration(), view};
    }
    ViewRef view_ref() {
        if (flip()) return {number(), std::nullopt};
        auto whole = view();
        return {whole.view.number, whole};
    }
    SnapshotId snapshot() { return {incarnation(), position()}; }
    Entry entry() {
        const auto kind = static_cast<EntryKind>(below(3));
        return {position(), kind, position(), number(), number(), kind == EntryKind::command ? json() : JsonText{}};
    }
    Held held() { return {position(), number()}; }
    InstallResult progress() { return {number(), snapshot(), number()}; }

    // ---- messages -------------------------------------------------------------------------------------------

    Ping draw(Ping*) {
        return {text(), text(), incarnation(), number(), number(), maybe(cluster()), maybe(names()), names(),
                flip(), flip(), list([this] { return incarnation(); }), protocol(),
                flip(), maybe(view()), features(), number(), flip()};
    }
    PingResult draw(PingResult*) { return {view(), duration(), flip()}; }
    ViewGet draw(ViewGet*) { return {text(), protocol()}; }
    ViewWatch draw(ViewWatch*) { return {text()}; }
    ViewPromote draw(ViewPromote*) { return {text(), text()}; }
    ViewForce draw(ViewForce*) { return {text(), text()}; }
    ViewAdopt draw(ViewAdopt*) { return {text(), cluster()}; }
    ViewRemove draw(ViewRemove*) { return {text()}; }
    ViewResult draw(ViewResult*) { return {view()}; }
    ViewForceResult draw(ViewForceResult*) { return {view(), text()}; }
    ViewChanged draw(ViewChanged*) { return {view()}; }
    ViewStatus draw(ViewStatus*) { return {maybe(text())}; }
    ViewStatusResult draw(ViewStatusResult*) {
        return {list([this] {
                    auto servers = list([this] {
                        return ServerStatus{text(), incarnation(), text(), duration(), number(), text()};
                    });
                    return GroupStatus{view(), flip(), servers, names(), text()};
                }),
                list([this] { return PastEvent{duration(), text()}; })};
    }
    Open draw(Open*) { return {cluster(), text(), protocol()}; }
    OpenResult draw(OpenResult*) { return {position()}; }
    Close draw(Close*) { return {cluster(), text(), position()}; }
    CloseResult draw(CloseResult*) { return {position()}; }
    Execute draw(Execute*) { return {cluster(), text(), position(), number(), number(), json()}; }
    ExecuteResult draw(ExecuteResult*) { return {position(), json()}; }
    Query draw(Query*) { return {cluster(), text(), json()}; }
    QueryResult draw(QueryResult*) { return {position(), json()}; }
    Dump draw(Dump*) { return {cluster(), text(), maybe(position()), number()}; }
    DumpResult draw(DumpResult*) { return {position(), number(), bytes(), flip()}; }
    ReplicaStatus draw(ReplicaStatus*) { return {maybe(cluster()), maybe(text())}; }
    ReplicaStatusResult draw(ReplicaStatusResult*) {
        return {view(), text(), incarnation(), static_cast<Role>(below(3)), number(), number(), number(), number(),
                number(), number(), list([this] { return BackupStatus{text(), text(), number(), number()}; })};
    }
    Append draw(Append*) {
        return {cluster(), text(), view_ref(), position(), list([this] { return entry(); }), number(), number()};
    }
    AppendResult draw(AppendResult*) { return {number(), number(), number(), features()}; }
    Install draw(Install*) {
        return {cluster(), text(), view_ref(), snapshot(), number(), bytes(), flip(), protocol()};
    }
    InstallResult draw(InstallResult*) { return progress(); }
    Failure draw(Failure*) {
        constexpr error codes[] = {error::not_primary, error::mismatch, error::bad_chunk, error::parse_error,
                                   error::internal, error::superseded};
        return {{}, codes[below(std::size(codes))], text(), maybe(view()), maybe(held()), maybe(progress())};
    }

    std::mt19937 random_;
};

}  // namespace understudy::test
