// Any message of the protocol, made from a fuzzer's bytes. Values from the state machine under test are mixed in, so
// that many messages are plausible.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <understudy/protocol/call_id.hpp>
#include <understudy/wire/methods.hpp>

#include "tests/fuzz/bytes.hpp"

namespace understudy::fuzz {

using namespace protocol;
using namespace replica;

/// The values that messages are likely to contain.
struct Hints {
    ViewInfo info{"g", ClusterId{1}, std::chrono::milliseconds{100}, {}};
    Position last;
    Index commit = 0;
    std::vector<Envelope> asked;  ///< Requests of the state machine, the newest last.
};

/// Positional initialisers on purpose: a member that is added to a message and not drawn here is a compiler warning.
class MessageMaker {
public:
    MessageMaker(Bytes& in, const Hints& hints) : in_{in}, hints_{hints} {}

    /// A message of any kind with an id that fits it.
    Envelope any() {
        Envelope envelope{peer(), {}, {}};
        make_at<0>(in_.below(std::variant_size_v<Message>), envelope);
        return envelope;
    }
    /// An answer to one of the state machine's latest requests; any message if it made none.
    Envelope answer() {
        if (hints_.asked.empty()) return any();
        const auto back = std::min(in_.below(8), hints_.asked.size() - 1);
        const auto& asked = hints_.asked[hints_.asked.size() - 1 - back];
        Envelope envelope{in_.one_in(16) ? peer() : asked.peer.address(), asked.id, {}};
        const auto method = call_method(asked.id);
        if (in_.one_in(4)) {
            envelope.message = draw(static_cast<Failure*>(nullptr));
            return envelope;
        }
        wire::detail::with_call(method, false, [&]<typename Call>() {
            envelope.message = draw(static_cast<typename Call::Result*>(nullptr));
            return true;
        });
        return envelope;
    }

    Address peer() { return in_.pick<const char*>({"b", "v", "c", "a", "w", "client", "tcp://other:1"}); }
    Address server() { return in_.pick<const char*>({"a", "b", "c", "d", "", "e"}); }

private:
    template <std::size_t I>
    void make_at(std::size_t kind, Envelope& out) {
        if constexpr (I < std::variant_size_v<Message>) {
            if (kind != I) return make_at<I + 1>(kind, out);
            using M = std::variant_alternative_t<I, Message>;
            out.id = id<M>();
            out.message = draw(static_cast<M*>(nullptr));
        }
    }

    template <typename M>
    CallId id() {
        const auto n = in_.number() & 0xFFFFFFFFFFFF;
        if constexpr (std::is_same_v<M, ViewChanged>)
            return {};
        else if constexpr (std::is_same_v<M, Failure>)
            return make_call_id(static_cast<Method>(1 + in_.below(13)), n);
        else
            return make_call_id(method_of<M>(), n);
    }
    template <typename M>
    Method method_of() {
        auto found = Method::none;
        [&]<typename... Call>(std::tuple<Call...>*) {
            ((std::is_same_v<M, typename Call::Request> || std::is_same_v<M, typename Call::Result>
                  ? void(found = Call::method)
                  : void()),
             ...);
        }(static_cast<wire::detail::Calls*>(nullptr));
        return found;
    }

    // ---- values ---------------------------------------------------------------------------------------------

    std::string group() { return in_.one_in(16) ? in_.pick<const char*>({"h", "", "g2"}) : "g"; }
    ClusterId cluster() { return in_.one_in(16) ? ClusterId{in_.number()} : ClusterId{1}; }
    Incarnation incarnation() { return Incarnation{in_.one_in(32) ? in_.number() : 1 + in_.below(3)}; }
    int protocol() { return in_.one_in(32) ? static_cast<int>(in_.below(4)) : 1; }
    ViewNumber view_number() {
        switch (in_.below(4)) {
            case 0: return hints_.info.view.number;
            case 1: return hints_.info.view.number + 1;
            default: return in_.number();
        }
    }
    Index index() {
        switch (in_.below(4)) {
            case 0: return hints_.last.index;
            case 1: return hints_.commit;
            case 2: return hints_.last.index - in_.below(4);
            default: return in_.number();
        }
    }
    Position position() { return in_.one_in(3) ? Position{view_number(), index()} : hints_.last; }
    SessionId session() { return in_.one_in(2) ? SessionId{} : SessionId{1 + in_.below(3), 1 + in_.below(6)}; }
    JsonText command() {
        return in_.pick<const char*>({R"({"op":"append","key":"a","value":"x"})",
                                      R"({"op":"put","key":"b","value":""})", R"({"op":"erase","key":"a"})",
                                      R"({"op":"cas","key":"a","value":"y"})",
                                      R"({"op":"put","key":{"b64":"//4="},"value":"0123456789012345678901234567"})",
                                      R"({"op":"pit"})", "null", "[]"});
    }
    JsonText query() {
        return in_.pick<const char*>({R"({"op":"get","key":"a"})", R"({"op":"keys","prefix":"","limit":1})", "7"});
    }
    std::string text() { return in_.pick<const char*>({"", "primary", "gone"}); }
    std::string data() {
        // The head of a snapshot without sessions, sometimes followed by one key; or arbitrary bytes.
        if (!in_.one_in(2))
            return in_.pick<const char*>({"2 0  ", "2 0  {\"key\":\"a\",\"value\":\"1\"}\n", "", "2 0"});
        return std::string{in_.take(in_.byte())};
    }
    template <typename Draw>
    auto list(Draw&& draw_one) {
        std::vector<decltype(draw_one())> out;
        for (auto length = in_.below(4); length > 0; --length) out.push_back(draw_one());
        return out;
    }
    std::vector<Address> servers() {
        return list([this] { return server(); });
    }
    template <typename Draw>
    auto maybe(Draw&& draw_one) {
        return in_.one_in(2) ? std::optional{draw_one()} : std::nullopt;
    }
    bool flag() { return in_.one_in(4); }

    /// Sometimes a name occurs twice or is missing: the decoder refuses such a message, which is correct too.
    ViewInfo view() {
        if (in_.one_in(4)) return hints_.info;
        View view{view_number(), {}, {}, in_.one_in(8) ? view_number() : hints_.info.view.forced};
        if (view.number != 0) {
            auto names = std::vector<Address>{"a", "b", "c", "d"};
            const auto primary = in_.below(names.size());
            view.primary = {names[primary], incarnation(), false};
            for (std::size_t i = 1 + in_.below(3); i < names.size(); ++i) {
                const auto& name = names[(primary + i) % names.size()];
                view.backups.push_back({name, incarnation(), flag()});
            }
        }
        const auto interval = in_.one_in(16) ? in_.duration() : Duration{std::chrono::milliseconds{100}};
        return {group(), cluster(), interval, std::move(view)};
    }
    ViewRef view_ref() {
        if (!in_.one_in(2)) return {view_number(), std::nullopt};
        auto whole = view();
        return {whole.view.number, whole};
    }
    SnapshotId snapshot() { return {incarnation(), {in_.one_in(8) ? in_.number() : hints_.info.view.number, index()}}; }
    std::vector<Entry> entries(Position before) {
        std::vector<Entry> out;
        for (auto count = in_.below(5); count > 0; --count) {
            if (in_.one_in(8)) before = position();
            before = {std::max(before.view, in_.one_in(4) ? view_number() : before.view), before.index + 1};
            const auto kind = static_cast<EntryKind>(in_.pick({0, 0, 1, 2}));
            auto body = kind == EntryKind::command ? command() : JsonText{};
            out.push_back({before, kind, session(), in_.number(), in_.number(), std::move(body)});
        }
        return out;
    }
    Held held() { return {position(), index()}; }
    InstallResult progress() { return {view_number(), snapshot(), in_.number()}; }

    // ---- messages -------------------------------------------------------------------------------------------

    Ping draw(Ping*) {
        return {group(),
                server(),
                incarnation(),
                in_.number(),
                view_number(),
                maybe([this] { return cluster(); }),
                maybe([this] { return servers(); }),
                servers(),
                flag(),
                flag(),
                list([this] { return incarnation(); }),
                protocol(),
                flag(),
                maybe([this] { return view(); })};
    }
    PingResult draw(PingResult*) { return {view(), in_.duration(), flag()}; }
    ViewGet draw(ViewGet*) { return {group(), protocol()}; }
    ViewWatch draw(ViewWatch*) { return {group()}; }
    ViewPromote draw(ViewPromote*) { return {group(), server()}; }
    ViewForce draw(ViewForce*) { return {group(), server()}; }
    ViewAdopt draw(ViewAdopt*) { return {group(), cluster()}; }
    ViewRemove draw(ViewRemove*) { return {group()}; }
    ViewResult draw(ViewResult*) { return {view()}; }
    ViewForceResult draw(ViewForceResult*) { return {view(), text()}; }
    ViewChanged draw(ViewChanged*) { return {view()}; }
    ViewStatus draw(ViewStatus*) {
        return {maybe([this] { return group(); })};
    }
    ViewStatusResult draw(ViewStatusResult*) { return {}; }
    Open draw(Open*) { return {cluster(), group(), protocol()}; }
    OpenResult draw(OpenResult*) { return {{1 + in_.below(3), in_.number()}}; }
    Close draw(Close*) { return {cluster(), group(), {1 + in_.below(3), in_.number()}}; }
    CloseResult draw(CloseResult*) { return {{1 + in_.below(3), in_.number()}}; }
    Execute draw(Execute*) { return {cluster(), group(), session(), in_.number(), in_.number(), command()}; }
    ExecuteResult draw(ExecuteResult*) { return {position(), "null"}; }
    Query draw(Query*) { return {cluster(), group(), query()}; }
    QueryResult draw(QueryResult*) { return {position(), "\"x\""}; }
    Dump draw(Dump*) {
        return {cluster(), group(), maybe([this] { return position(); }), in_.number()};
    }
    DumpResult draw(DumpResult*) { return {position(), in_.number(), data(), flag()}; }
    ReplicaStatus draw(ReplicaStatus*) {
        return {maybe([this] { return cluster(); }), maybe([this] { return group(); })};
    }
    ReplicaStatusResult draw(ReplicaStatusResult*) { return {}; }
    Append draw(Append*) {
        Append append{cluster(), group(), view_ref(), position(), {}, index(), in_.number()};
        append.entries = entries(append.prev);
        return append;
    }
    AppendResult draw(AppendResult*) { return {view_number(), index(), in_.number()}; }
    Install draw(Install*) {
        return {cluster(), group(), view_ref(), snapshot(), in_.number(), data(), flag(), protocol()};
    }
    InstallResult draw(InstallResult*) { return progress(); }
    Failure draw(Failure*) {
        const auto code = understudy::detail::error_table[in_.below(std::size(understudy::detail::error_table))].value;
        return {{}, code, text(), maybe([this] { return view(); }), maybe([this] { return held(); }), maybe([this] {
                    return progress();
                })};
    }

    Bytes& in_;
    const Hints& hints_;
};

}  // namespace understudy::fuzz
