// Payloads that are not messages: each is answered with the error code and the text that its sender needs.
#include <string>
#include <string_view>
#include <variant>

#include <doctest/doctest.h>

#include <understudy/wire/json.hpp>
#include <understudy/wire/scan.hpp>

#include "tests/wire/random_messages.hpp"

using namespace understudy;
using namespace understudy::protocol;
using wire::DecodeError;

TEST_SUITE("decode") {
    namespace {
    DecodeError refused(std::string_view payload) {
        auto result = wire::decode(payload);
        REQUIRE_MESSAGE(result.index() == 1, "accepted: " << payload);
        return std::get<DecodeError>(result);
    }
    /// `code: text`.
    std::string why(std::string_view payload) {
        const auto error = refused(payload);
        return std::string{to_string(error.code)} + ": " + error.text;
    }
    bool says(const std::string& reason, std::string_view part) { return reason.find(part) != std::string::npos; }
    std::string request(std::string_view method, std::string_view params) {
        return R"({"jsonrpc":"2.0","id":9,"method":")" + std::string{method} + R"(","params":)" + std::string{params} +
               "}";
    }
    std::string execute(std::string_view members) {
        return request("pb.execute", R"({"cluster":"00000000000000ab","group":"main",)" + std::string{members} + "}");
    }
    std::string entry(std::string_view entries) {
        return request("replica.append",
                       R"({"cluster":"00000000000000ab","group":"main","view":1,"prev":[1,1],"commit":1,)"
                       R"("entries":[)" +
                           std::string{entries} + "]}");
    }
    std::string view(std::string_view members) {
        return R"({"jsonrpc":"2.0","method":"view.changed","params":{"view":{"group":"g","cluster":"00000000000000ab",)"
               R"("ping_interval":100,)" +
               std::string{members} + "}}}";
    }
    }  // namespace

    TEST_CASE("what is no JSON is refused with the offset") {
        CHECK(why("") == "parse_error: offset 0: expected a value, found the end");
        CHECK(why("{") == "parse_error: offset 1: expected a member's name, found the end");
        CHECK(why(R"({"jsonrpc":"2.0"} x)") == "parse_error: offset 18: expected nothing after the value, found 'x'");
        CHECK(says(why(execute("\"command\":\"\xFF\"")), "expected well-formed UTF-8, found byte 0xff"));
        CHECK(says(why(execute(R"("command":"\ud800")")), "expected a low surrogate"));
        CHECK(says(why(execute(std::string{"\"command\":\0", 11})), "found byte 0x00"));
        CHECK(refused(execute("\"command\":01")).code == error::parse_error);
    }

    TEST_CASE("a text that breaks after a wrong member is no JSON first of all") {
        const auto text = execute(R"("seq":"x","command":0)");
        CHECK(refused(text).code == error::invalid_params);
        CHECK(refused(text.substr(0, text.size() - 1)).code == error::parse_error);
    }

    TEST_CASE("every beginning of a message is refused and costs no more than its bytes") {
        test::RandomMessages messages{8};
        for (std::size_t kind = 0; kind < messages.kinds; ++kind) {
            const auto sent = messages.make(kind);
            const auto text = wire::encode(sent.id, sent.message);
            for (std::size_t length = 0; length < text.size(); ++length)
                REQUIRE(refused(std::string{text, 0, length}).code == error::parse_error);
        }
    }

    TEST_CASE("JSON that is no JSON-RPC is refused with what is wrong") {
        CHECK(why("[]") == "invalid_request: batches are not supported: a frame carries one message");
        CHECK(why(" [{}]").starts_with("invalid_request: batches"));
        CHECK(why("[1,").starts_with("parse_error"));
        CHECK(why("\"x\"") == "invalid_request: expected an object, found a string");
        CHECK(why("{}") == "invalid_request: jsonrpc: expected \"2.0\", found nothing");
        CHECK(why(R"({"jsonrpc":2.0,"id":1,"method":"view.get"})") ==
              R"(invalid_request: jsonrpc: expected "2.0", found 2.0)");
        CHECK(why(R"({"jsonrpc":"2.0"})") == "invalid_request: expected a method, a result or an error");
        CHECK(why(R"({"jsonrpc":"2.0","id":1,"params":{}})") == "invalid_request: method: missing");
        CHECK(why(R"({"jsonrpc":"2.0","id":1,"method":7})") ==
              "invalid_request: method: expected a string, found a number");
        CHECK(why(R"({"jsonrpc":"2.0","id":1.5,"method":"view.status"})") ==
              "invalid_request: id: expected an integer or a string, found 1.5");
        CHECK(why(R"({"jsonrpc":"2.0","id":[1],"method":"view.status"})") ==
              "invalid_request: id: expected an integer or a string, found [1]");
        CHECK(why(R"({"jsonrpc":"2.0","method":"view.status"})") ==
              "invalid_request: id: view.status needs one, an integer or a string");
        CHECK(why(R"({"jsonrpc":"2.0","id":null,"method":"view.status"})").starts_with("invalid_request: id:"));
        CHECK(
            why(R"({"jsonrpc":"2.0","id":1,"id":2,"method":"view.status"})").starts_with("invalid_request: a member"));
        CHECK(why(R"({"jsonrpc":"2.0","id":1,"method":"view.status","result":1})")
                  .starts_with("invalid_request: expected"));
        CHECK(
            why(R"({"jsonrpc":"2.0","id":34,"result":{},"error":{}})").starts_with("invalid_request: expected one of"));
        CHECK(why(R"({"jsonrpc":"2.0","id":")" + std::string(200, 'x') + R"(","method":"view.status"})") ==
              "invalid_request: id: longer than 128 bytes");
        CHECK(why(R"({"jsonrpc":"2.0","id":1,"method":"view.changed","params":{}})")
                  .starts_with("invalid_request: view.changed"));
    }

    TEST_CASE("a method that does not exist is named") {
        const auto error = refused(request("pb.explode", "[1,2]"));
        CHECK(error.code == error::unknown_method);
        CHECK(error.text == "unknown method pb.explode");
        CHECK(error.id == "9");
        CHECK(error.method == "pb.explode");
        const auto long_name = refused(request(std::string(5000, 'm'), "{}"));
        CHECK(long_name.text.size() < 120);
    }

    TEST_CASE("params that are wrong are named with what was expected and found") {
        CHECK(why(execute(R"("seq":"x","command":0)")) ==
              "invalid_params: params.seq: expected an unsigned integer, found a string");
        CHECK(why(execute(R"("seq":-1,"command":0)")) ==
              "invalid_params: params.seq: expected an unsigned integer, found -1");
        CHECK(why(execute(R"("seq":1.0,"command":0)")) ==
              "invalid_params: params.seq: expected an unsigned integer, found 1.0");
        CHECK(why(execute(R"("seq":1e3,"command":0)")) ==
              "invalid_params: params.seq: expected an unsigned integer, found 1e3");
        CHECK(why(execute(R"("seq":18446744073709551616,"command":0)")) ==
              "invalid_params: params.seq: expected an unsigned integer of at most 64 bits, "
              "found 18446744073709551616");
        CHECK(why(execute(R"("seq":1)")) == "invalid_params: params.command: missing");
        CHECK(why(execute(R"("command":0,"command":1)")) == "invalid_params: params.command: stands there twice");
        CHECK(why(execute(R"("command":0,"session":[1])")) ==
              "invalid_params: params.session: expected [view, index], found fewer than two elements");
        CHECK(why(execute(R"("command":0,"session":[1,2,3])")) ==
              "invalid_params: params.session: expected [view, index], found more than two elements");
        CHECK(why(execute(R"("command":0,"session":[1,"2"])")) ==
              "invalid_params: params.session[1]: expected an unsigned integer, found a string");
        CHECK(why(request("pb.execute", "[]")) == "invalid_params: params: expected an object, found an array");
        CHECK(why(request("view.get", R"({"protocol":1})")) == "invalid_params: params.group: missing");
        CHECK(why(R"({"jsonrpc":"2.0","id":1,"method":"view.watch"})") == "invalid_params: params.group: missing");
        CHECK(why(request("pb.query", R"({"cluster":"ab","group":"g","query":0})")) ==
              "invalid_params: params.cluster: expected 16 hexadecimal digits, found ab");
        CHECK(why(request("pb.query", R"({"cluster":171,"group":"g","query":0})")) ==
              "invalid_params: params.cluster: expected a string of 16 hexadecimal digits, found a number");
        CHECK(why(request("view.watch", R"({"group":{"b64":"//4="}})")) ==
              "invalid_params: params.group: expected a string, found an object");
        CHECK(why(entry(R"({"at":[1,2],"command":0},{"at":[1,3],"kind":"shut"})")) ==
              "invalid_params: params.entries[1].kind: expected command, open or close, found shut");
        CHECK(why(entry(R"({"at":[1,2]})")) == "invalid_params: params.entries[0].command: missing");
        CHECK(why(entry(R"({"at":[1,2],"kind":"open"},7)")) ==
              "invalid_params: params.entries[1]: expected an object, found a number");
    }

    TEST_CASE("what an error text quotes is short and whole") {
        const auto error = refused(request("pb.query", R"({"cluster":")" + std::string(78, 'x') + "\xF0\x9F\x98\x80" +
                                                           std::string(100'000, 'y') + R"(","group":"g","query":0})"));
        CHECK(error.text == "params.cluster: expected 16 hexadecimal digits, found " + std::string(78, 'x') + "...");
    }

    TEST_CASE("a null in place of an optional member counts as absent") {
        const auto result = wire::decode(execute(R"("seq":null,"session":null,"command":null)"));
        REQUIRE(result.index() == 0);
        const auto& message = std::get<Execute>(std::get<0>(result).message);
        CHECK(message.seq == 0);
        CHECK(message.command == "null");
        CHECK(why(request("view.watch", R"({"group":null})")) ==
              "invalid_params: params.group: expected a string, found null");
    }

    TEST_CASE("another version of the protocol is said to be one even if its params have changed") {
        CHECK(why(request("view.get", R"({"group":{"new":1},"protocol":2})")) ==
              "unsupported_version: protocol 2 is not supported, only 1");
        // the state machines themselves refuse a message that can still be decoded
        CHECK(wire::decode(request("view.get", R"({"group":"g","protocol":2})")).index() == 0);
    }

    TEST_CASE("a view that contradicts itself is refused") {
        constexpr std::string_view ab = R"("incarnations":{"a":"0000000000000001","b":"0000000000000002"})";
        const auto of = [&](std::string_view members) { return view(std::string{members} + std::string{ab}); };
        CHECK(wire::decode(of(R"("viewnum":1,"primary":"a","backups":["b"],"synced":["b"],)")).index() == 0);
        CHECK(wire::decode(of(R"("viewnum":0,"primary":null,"backups":[],"synced":[],)")).index() == 0);
        CHECK(says(why(of(R"("viewnum":1,"backups":[],"synced":[],)")), "expected a primary in every view but 0"));
        CHECK(says(why(of(R"("viewnum":0,"backups":["b"],"synced":[],)")), "and no backups in that one"));
        CHECK(says(why(of(R"("viewnum":1,"primary":"a","backups":["a"],"synced":[],)")), "a is a member twice"));
        CHECK(says(why(of(R"("viewnum":1,"primary":"a","backups":["b"],"synced":["a"],)")),
                   "view.synced: expected names of backups"));
        CHECK(says(why(of(R"("viewnum":1,"primary":"c","backups":["b"],"synced":[],)")),
                   "incarnations: no incarnation of c"));
    }

    TEST_CASE("an answer that nobody here asked for is refused and not answered") {
        const auto notification = make_call_id(Method::view_changed, 3);
        for (const std::string& id : {std::string{"null"}, std::string{"\"x\""}, std::string{"31"}, std::string{"64"},
                                      std::string{"-2"}, std::string{"99999999999999999999"}, notification.json()}) {
            const auto error = refused(R"({"jsonrpc":"2.0","id":)" + id + R"(,"result":{}})");
            CHECK(error.code == error::invalid_request);
            CHECK(error.text.starts_with("an answer to a call that was not made here"));
            CHECK(!error.answer);
        }
        CHECK(!refused(R"({"jsonrpc":"2.0","id":34,"result":{}})").answer);
        CHECK(!refused(R"({"jsonrpc":"2.0","id":34,"error":{}})").answer);
        CHECK(!refused(R"({"jsonrpc":"2.0","method":"view.vanished"})").answer);
        CHECK(refused(request("view.vanished", "{}")).answer);
        CHECK(refused("]").answer);
    }

    TEST_CASE("an error of a server of another make is read with whatever it has") {
        for (const auto* data :
             {"", R"(,"data":null)", R"(,"data":"text")", R"(,"data":[1])", R"(,"data":{"name":5})"}) {
            const auto id = make_call_id(Method::pb_query, 4);
            const auto result = wire::decode(R"({"jsonrpc":"2.0","error":{"code":-32099,"message":"no")" +
                                             std::string{data} + R"(},"id":)" + id.json() + "}");
            if (std::string_view{data}.find("name") != std::string_view::npos) {
                CHECK(result.index() == 1);  // a member of this protocol with a wrong type
                continue;
            }
            REQUIRE(result.index() == 0);
            CHECK(std::get<0>(result).message == Message{Failure{"pb.query", error::internal, "no", {}, {}, {}}});
        }
    }

    TEST_CASE("commands may nest to the limit wherever they travel") {
        const auto depth = static_cast<std::size_t>(wire::Scanner::max_depth);
        const auto deepest = std::string(depth, '[') + std::string(depth, ']');
        CHECK(wire::decode(execute("\"command\":" + deepest)).index() == 0);
        CHECK(wire::decode(entry(R"({"at":[1,2],"command":)" + deepest + "}")).index() == 0);
        CHECK(says(why(execute("\"command\":[" + deepest + "]")), "at most 64 levels"));
    }

    TEST_CASE("an entry that is no command has none wherever its kind stands") {
        for (const auto* text : {R"({"at":[1,2],"command":null,"kind":"open"})", R"({"at":[1,2],"kind":"open"})",
                                 R"({"kind":"open","command":{"a":1},"at":[1,2]})"}) {
            const auto decoded = wire::decode(entry(text));
            REQUIRE(decoded.index() == 0);
            const auto& append = std::get<Append>(std::get<wire::Decoded>(decoded).message);
            CHECK(append.entries == std::vector<Entry>{{{1, 2}, EntryKind::open, {}, 0, 0, {}}});
        }
    }

    TEST_CASE("bombs are refused") {
        CHECK(refused(std::string(5'000'000, '[')).code == error::parse_error);
        CHECK(refused(execute("\"command\":" + std::string(5'000'000, '['))).code == error::parse_error);
        std::string many = R"({"jsonrpc":"2.0","id":1,"method":"view.nope")";
        for (int i = 0; i < 200'000; ++i) many += ",\"m" + std::to_string(i) + "\":0";
        CHECK(refused(many + "}").code == error::unknown_method);
        std::string members = R"("viewnum":1,"primary":"a","backups":["")";
        for (int i = 0; i < 200'000; ++i) members += ",\"\"";
        members += R"(],"synced":[],"incarnations":{"a":"0000000000000001","":"0000000000000001"})";
        CHECK(refused(view(members)).code == error::invalid_params);
    }

    TEST_CASE("what is refused becomes an error that a peer can read") {
        const auto fault = refused(execute(R"("seq":"x","command":0)"));
        const auto text = wire::encode(fault.id, wire::to_failure(fault));
        CHECK(text == R"({"jsonrpc":"2.0","id":9,"error":{"code":-32602,"message":"params.seq: expected )"
                      R"(an unsigned integer, found a string","data":{"name":"invalid_params"}}})");
    }
}
