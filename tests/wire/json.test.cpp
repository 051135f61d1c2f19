// Messages to JSON and back: every kind, random values, any order of members; and the same text as read by another
// parser.
#include <algorithm>
#include <random>
#include <string>
#include <variant>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <understudy/wire/json.hpp>
#include <understudy/wire/methods.hpp>

#include "tests/wire/random_messages.hpp"

using namespace understudy;
using namespace understudy::protocol;
using nlohmann::json;

TEST_SUITE("json") {
    namespace {
    /// The same text with the members of every object of the protocol in another order; the members that are not
    /// decoded stay as they are.
    std::string shuffled(const json& value, std::mt19937& random) {
        if (value.is_array()) {
            std::string out = "[";
            for (const auto& element : value) out += (out.size() > 1 ? ", " : " ") + shuffled(element, random);
            return out + " ]";
        }
        if (!value.is_object()) return value.dump();
        std::vector<std::string> members;
        for (const auto& [name, member] : value.items()) {
            const bool opaque = name == "command" || name == "query" || name == "value";
            members.push_back(json(name).dump() + " :\n" + (opaque ? member.dump() : shuffled(member, random)));
        }
        std::shuffle(members.begin(), members.end(), random);
        std::string out = "{";
        for (const auto& member : members) out += (out.size() > 1 ? "\t, " : " ") + member;
        return out + " }";
    }

    /// Formats commands, queries and values as nlohmann writes them, because `shuffled` has passed them through
    /// nlohmann.
    struct Redumped {
        static void text(std::string& it) {
            if (!it.empty()) it = json::parse(it).dump();
        }
        void operator()(Execute& it) const { text(it.command); }
        void operator()(ExecuteResult& it) const { text(it.value); }
        void operator()(Query& it) const { text(it.query); }
        void operator()(QueryResult& it) const { text(it.value); }
        void operator()(Append& it) const {
            SharedEntries redumped;
            for (const auto& entry : it.entries) {
                Entry one(entry);
                text(one.command);
                redumped.push_back(one);
            }
            it.entries = redumped;
        }
        void operator()(auto&) const {}
    };
    }  // namespace

    TEST_CASE("every message comes back as it was and another parser accepts its text") {
        test::RandomMessages messages{1};
        for (std::size_t kind = 0; kind < messages.kinds; ++kind)
            for (int round = 0; round < 300; ++round) {
                const auto sent = messages.make(kind);
                const auto text = wire::encode(sent.id, sent.message);
                CAPTURE(text);
                REQUIRE(json::accept(text));
                const auto result = wire::decode(text);
                REQUIRE_MESSAGE(result.index() == 0, std::get<1>(result).text);
                const auto& received = std::get<0>(result);
                REQUIRE(received.id == sent.id);
                const bool same = received.message == sent.message;
                REQUIRE(same);
            }
    }

    TEST_CASE("the order of members and white space between them mean nothing") {
        test::RandomMessages messages{2};
        std::mt19937 random{3};
        for (std::size_t kind = 0; kind < messages.kinds; ++kind)
            for (int round = 0; round < 100; ++round) {
                auto sent = messages.make(kind);
                const auto text = shuffled(json::parse(wire::encode(sent.id, sent.message)), random);
                CAPTURE(text);
                const auto result = wire::decode(text);
                REQUIRE_MESSAGE(result.index() == 0, std::get<1>(result).text);
                std::visit(Redumped{}, sent.message);
                const bool same = std::get<0>(result).message == sent.message;
                REQUIRE(same);
            }
    }

    TEST_CASE("members that are not known are skipped wherever they stand") {
        test::RandomMessages messages{4};
        for (std::size_t kind = 0; kind < messages.kinds; ++kind)
            for (int round = 0; round < 50; ++round) {
                const auto sent = messages.make(kind);
                auto value = json::parse(wire::encode(sent.id, sent.message));
                const char* body = value.contains("params") ? "params" : value.contains("result") ? "result" : "error";
                value["!new"] = json::parse(R"({"a":[1,{"b":null}]})");
                value[body]["!new"] = json::parse(R"([[[]],"x",-1e9])");
                value[body]["~new"] = json::parse(R"({"params":{}})");
                const auto text = value.dump();
                CAPTURE(text);
                const auto result = wire::decode(text);
                REQUIRE_MESSAGE(result.index() == 0, std::get<1>(result).text);
                REQUIRE(std::get<0>(result).message.index() == kind);
            }
    }

    TEST_CASE("a command a query and a value travel to the letter") {
        const std::string text = "{\"a\" :\t[1.0, 1e2,\"\\u00e9\\/\"], \"a\":{}, \"b\":123456789012345678901234567890}";
        const Execute execute{ClusterId{1}, "main", {}, 0, 0, text};
        const auto id = make_call_id(Method::pb_execute, 1);
        CHECK(std::get<0>(wire::decode(wire::encode(id, execute))).message == Message{execute});
        const QueryResult value{{1, 2}, text};
        const auto query_id = make_call_id(Method::pb_query, 1);
        CHECK(std::get<0>(wire::decode(wire::encode(query_id, value))).message == Message{value});
        Append append;
        append.entries.push_back({Position{1, 1}, EntryKind::command, {}, 0, 0, text});
        const auto append_id = make_call_id(Method::replica_append, 1);
        CHECK(std::get<0>(wire::decode(wire::encode(append_id, append))).message == Message{append});
    }

    TEST_CASE("an empty value is written as null") {
        const auto id = make_call_id(Method::pb_execute, 1);
        const auto result = wire::decode(wire::encode(id, ExecuteResult{{1, 1}, ""}));
        CHECK(std::get<0>(result).message == Message{ExecuteResult{{1, 1}, "null"}});
    }

    TEST_CASE("a sentence that is not UTF-8 is written so that a peer can read it") {
        const Failure failure{"view.get", error::bad_request, "caf\xC3\xA9 \xFF", {}, {}, {}};
        const auto result = wire::decode(wire::encode(make_call_id(Method::view_get, 1), failure));
        CHECK(std::get<Failure>(std::get<0>(result).message).text == "caf?? ?");
    }

    TEST_CASE("an id is echoed to the letter") {
        for (const std::string id : {"0", "-7", "123456789012345678901234567890", R"("a\u0041\n")", R"("")"}) {
            const auto request = wire::decode(R"({"jsonrpc":"2.0","id": )" + id + R"(,"method":"view.status"})");
            REQUIRE(request.index() == 0);
            CHECK(std::get<0>(request).id == id);
            const auto answer = wire::encode(std::get<0>(request).id, ViewStatusResult{});
            CHECK(answer.find("\"id\":" + id + ",") != answer.npos);
        }
    }

    TEST_CASE("durations are milliseconds with up to six decimals") {
        const auto text_of = [](Duration age) { return wire::encode("4", ViewStatusResult{{}, {PastEvent{age, ""}}}); };
        CHECK(text_of(Duration{100'000'000}).find(R"("age_ms":100,)") != std::string::npos);
        CHECK(text_of(Duration{1'500'000}).find(R"("age_ms":1.5,)") != std::string::npos);
        CHECK(text_of(Duration{1}).find(R"("age_ms":0.000001,)") != std::string::npos);
        CHECK(text_of(Duration{-5}).find(R"("age_ms":0,)") != std::string::npos);
        for (const auto age : {Duration{0}, Duration{1}, Duration{999'999}, Duration{1'000'001}, Duration::max()}) {
            const auto result = wire::decode(text_of(age));
            REQUIRE(result.index() == 0);
            CHECK(std::get<ViewStatusResult>(std::get<0>(result).message).events[0].age == age);
        }
    }

    TEST_CASE("requests results and errors are told apart") {
        test::RandomMessages messages{5};
        for (std::size_t kind = 0; kind < messages.kinds; ++kind) {
            const auto message = messages.make(kind).message;
            const auto value = json::parse(wire::encode("9", message));
            const int sorts = wire::is_request(message) + wire::is_response(message) + wire::is_notification(message);
            CHECK(sorts == 1);
            CHECK(wire::is_response(message) == (value.contains("result") || value.contains("error")));
            CHECK(value.contains("method") == !wire::is_response(message));
            if (value.contains("method")) CHECK(value["method"] == wire::method_of(message));
        }
    }
}
