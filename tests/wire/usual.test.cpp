// The reading for the usual form takes what `encode` writes of the frequent messages, and never reads anything in
// another way than the general reading does.
#include <doctest/doctest.h>

#include <random>
#include <set>
#include <string>
#include <variant>

#include <understudy/kv_store.hpp>
#include <understudy/wire/json.hpp>

#include "tests/wire/random_messages.hpp"

using namespace understudy;
using namespace understudy::test;

TEST_SUITE("usual") {
    /// Whether the reading for the usual form takes it; then the general reading has to agree.
    bool taken(const std::string& text) {
        wire::Decoded usual;
        if (!wire::UsualForm{text}.read(usual.id, usual.message)) return false;
        const auto any = wire::decode_any(text);
        CAPTURE(text);
        REQUIRE(std::holds_alternative<wire::Decoded>(any));
        CHECK(std::get<wire::Decoded>(any) == usual);
        return true;
    }
    bool taken(const Message& message, Method answers = Method::none) {
        return taken(wire::encode(make_call_id(answers, 7), message));
    }

    TEST_CASE("the frequent messages are taken as they are written") {
        const ClusterId cluster{0x0123456789abcdef};
        const std::string put = R"({"op":"put","key":"k","value":"\u00e9\n"})";
        const Entry entry{{3, 9}, EntryKind::command, {1, 2}, 5, 4, put};
        const Entry alone{{3, 10}, EntryKind::command, {}, 0, 0, "[1, {}]"};
        CHECK(taken(Execute{cluster, "main", {1, 2}, 5, 4, put}, Method::pb_execute));
        CHECK(taken(Execute{cluster, "main", {}, 0, 0, put}, Method::pb_execute));
        CHECK(taken(Query{cluster, "main", put}, Method::pb_query));
        CHECK(taken(Append{cluster, "main", {3, {}}, {2, 8}, {entry, alone}, 8, 0}, Method::replica_append));
        CHECK(taken(Append{cluster, "main", {3, {}}, {2, 8}, {}, 8, 17}, Method::replica_append));
        CHECK(taken(ExecuteResult{{3, 9}, "null"}, Method::pb_execute));
        CHECK(taken(QueryResult{{3, 9}, put}, Method::pb_query));
        CHECK(taken(AppendResult{3, 10, 0}, Method::replica_append));
        CHECK(taken(AppendResult{3, 10, 17}, Method::replica_append));
        for (const std::string data : {"", "plain", "{\"key\":\"a\"}\n", "\t\r\\ \xc3\xa9", "\xff\xfe no text"})
            for (const bool last : {false, true})
                CHECK(taken(Install{cluster, "main", {3, {}}, {Incarnation{17}, {2, 8}}, 5, data, last},
                            Method::replica_install));
    }

    TEST_CASE("a chunk of any bytes and any length is read alike") {
        std::mt19937 random{3};
        int taken_count = 0;
        for (int round = 0; round < 400; ++round) {
            std::string data(random() % 9000, 'x');  // across the pieces in which it is copied
            for (auto n = random() % 40; n > 0 && !data.empty(); --n)
                data[random() % data.size()] = static_cast<char>(round % 2 ? random() % 128 : "\"\\\n\t"[random() % 4]);
            const Install install{ClusterId{1}, "main", {3, {}}, {Incarnation{17}, {2, 8}}, 5, data, false};
            const auto text = wire::encode(make_call_id(Method::replica_install, 7), install);
            taken_count += taken(text);
            const auto read = wire::decode(text);
            REQUIRE(std::holds_alternative<wire::Decoded>(read));
            REQUIRE(std::get<Install>(std::get<wire::Decoded>(read).message).data == data);
        }
        CHECK(taken_count >= 200);
    }

    TEST_CASE("every message has one text whichever way it is written") {
        RandomMessages random{4};
        std::set<std::size_t> kinds;
        for (int round = 0; round < 200; ++round)
            for (std::size_t kind = 0; kind < RandomMessages::kinds; ++kind) {
                const auto envelope = random.make(kind);
                std::string usual, any;
                if (!wire::UsualWriter{usual}.write(envelope.id, envelope.message)) {
                    CHECK(usual.empty());
                    continue;
                }
                wire::encode_any(any, envelope.id, envelope.message);
                CHECK(usual == any);
                kinds.insert(kind);
            }
        CHECK(kinds.size() == 6);
    }

    TEST_CASE("what is rare is left to the general reading") {
        const ClusterId cluster{1};
        CHECK_FALSE(taken(Append{cluster, "main", {3, ViewInfo{}}, {2, 8}, {}, 8, 0}, Method::replica_append));
        CHECK_FALSE(taken(Append{cluster, "main", {3, {}}, {2, 8}, {{{3, 9}, EntryKind::open, {}, 0, 0, {}}}, 8, 0},
                          Method::replica_append));
        CHECK_FALSE(taken(Query{cluster, "caf\xc3\xa9", "1"}, Method::pb_query));
        CHECK_FALSE(taken(ViewGet{"main"}, Method::view_get));
        CHECK_FALSE(taken(R"({"jsonrpc":"2.0","id":"a","result":{"at":[1,2],"value":1}})"));
        CHECK_FALSE(taken(R"({"jsonrpc":"2.0","id":18446744073709551615,"result":{"view":1,"match":2}})"));
    }

    TEST_CASE("whatever is written of any message is read alike") {
        RandomMessages random{3};
        std::set<std::size_t> kinds;
        for (int round = 0; round < 200; ++round)
            for (std::size_t kind = 0; kind < RandomMessages::kinds; ++kind)
                if (taken(wire::encode(random.make(kind).id, random.make(kind).message))) kinds.insert(kind);
        CHECK(kinds.size() >= 4);
    }

    TEST_CASE("a frequent message of which any byte is another or missing is read alike or not taken") {
        const ClusterId cluster{0xfedcba9876543210};
        const Entry entry{{3, 9}, EntryKind::command, {1, 2}, 5, 4, "{}"};
        const Message messages[] = {Execute{cluster, "g", {1, 2}, 5, 4, "[0]"}, Query{cluster, "g", "\"q\""},
                                    Append{cluster, "g", {3, {}}, {2, 8}, {entry, entry}, 8, 1},
                                    ExecuteResult{{3, 9}, "null"}, AppendResult{3, 10, 1}};
        const Method methods[] = {Method::pb_execute, Method::pb_query, Method::replica_append, Method::pb_execute,
                                  Method::replica_append};
        int still = 0;
        for (std::size_t n = 0; n < std::size(messages); ++n) {
            const auto text = wire::encode(make_call_id(methods[n], 7), messages[n]);
            for (std::size_t at = 0; at < text.size(); ++at) {
                for (const char other : std::string_view{"0129-aF\"\\{}[], \n\x80"}) {
                    auto changed = text;
                    changed[at] = other;
                    still += taken(changed);
                    changed.insert(at, text, at, 1);
                    still += taken(changed);
                }
                auto shorter = text;
                shorter.erase(at, 1);
                still += taken(shorter);
            }
        }
        CHECK(still > 100);  // other digits and letters
    }

    TEST_CASE("commands of the key/value store are read alike in both ways") {
        for (const auto* text : {R"({"op":"put","key":"k","value":"v"})", R"({"op":"append","key":"","value":""})"}) {
            const auto usual = understudy::detail::UsualKvCommand::read(text);
            REQUIRE(usual);
            CHECK(usual->command() == understudy::detail::decode_any_kv_command(text));
        }
        for (const auto* text :
             {R"({"op":"put","key":"k","value":"\n"})", R"({"op":"put","key":"k","value":"v","x":1})",
              R"({"op":"put","key":"k","value":"v"} )", R"({"op":"erase","key":"k"})",
              R"({"op":"put","key":"k","value":"v")"})
            CHECK_FALSE(understudy::detail::UsualKvCommand::read(text));
    }
}
