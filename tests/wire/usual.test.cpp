// The fast decoder accepts the frequent messages as `encode` writes them, and never decodes a text differently from the
// general decoder.
#include <doctest/doctest.h>

#include <random>
#include <set>
#include <string>
#include <variant>

#include <understudy/kv/json.hpp>
#include <understudy/kv_store.hpp>
#include <understudy/protocol/call_id.hpp>
#include <understudy/protocol/message.hpp>
#include <understudy/wire/fast_decoder.hpp>
#include <understudy/wire/json.hpp>

#include "tests/wire/random_messages.hpp"

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::test;

TEST_SUITE("usual") {
    /// Whether the fast decoder accepts the text; if so, the general decoder must agree.
    bool taken(const std::string& text) {
        wire::Decoded usual;
        if (MessageView view; wire::decode_view(text, usual.id, view)) usual.message = owned(view);
        else if (!wire::FastDecoder<Message>{text}.read(usual.id, usual.message)) return false;
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
        CHECK(taken(AppendResult{3, 10, 17, {"a", std::string(max_feature, '~')}}, Method::replica_append));
        for (const std::string data : {"", "plain", "{\"key\":\"a\"}\n", "\t\r\\ \xc3\xa9", "\xff\xfe no text"})
            for (const bool last : {false, true})
                CHECK(taken(Install{cluster, "main", {3, {}}, {Incarnation{17}, {2, 8}}, 5, data, last},
                            Method::replica_install));
    }

    TEST_CASE("a chunk of any bytes and any length is read alike") {
        std::mt19937 random{3};
        int taken_count = 0;
        for (int round = 0; round < 400; ++round) {
            std::string data(random() % 9000, 'x');  // longer than the pieces in which it is copied
            for (auto n = random() % 40; n > 0 && !data.empty(); --n)
                data[random() % data.size()] = round % 2 ? static_cast<char>(random() % 128) : "\"\\\n\t"[random() % 4];
            const Install install{ClusterId{1}, "main", {3, {}}, {Incarnation{17}, {2, 8}}, 5, data, false};
            const auto text = wire::encode(make_call_id(Method::replica_install, 7), install);
            taken_count += taken(text);
            const auto read = wire::decode(text);
            REQUIRE(std::holds_alternative<wire::Decoded>(read));
            REQUIRE(std::get<Install>(std::get<wire::Decoded>(read).message).data == data);
        }
        CHECK(taken_count >= 200);
    }

    TEST_CASE("the pings of servers that are well are taken as they are written") {
        Ping ping;
        ping.group = "main";
        ping.server = "tcp://127.0.0.1:7001";
        ping.incarnation = Incarnation{0xfedcba9876543210};
        ping.n = 1;
        CHECK(taken(ping, Method::view_ping));
        ping.viewnum = 3;
        ping.cluster = ClusterId{0x0123456789abcdef};
        CHECK(taken(ping, Method::view_ping));
        for (const auto& synced : {std::vector<Address>{}, {"a"}, {"a", "unix:///b"}}) {
            ping.synced = synced;
            ping.lease = !ping.lease;
            CHECK(taken(ping, Method::view_ping));
            ping.features.push_back("f" + std::to_string(synced.size()));
            CHECK(taken(ping, Method::view_ping));
            ping.journal = !ping.journal;
            CHECK(taken(ping, Method::view_ping));
            ping.knew += 2;
            CHECK(taken(ping, Method::view_ping));
            ping.state_view += 3;
            CHECK(taken(ping, Method::view_ping));
        }
    }

    TEST_CASE("the answers to pings have one text whichever way they are written") {
        const Member one{"tcp://127.0.0.1:7001", Incarnation{1}, false}, two{"unix:///two", Incarnation{2}, true},
            three{std::string(128, '3'), Incarnation{3}, false};
        using namespace std::chrono_literals;
        // Once from the view, and once from lists as they are read.
        const auto same = [](const View& view, Duration lease, bool stop) {
            const ViewInfo info{"main", ClusterId{0xab}, 100ms, view};
            wire::FlatView flat{"main", info.cluster, info.ping_interval, view.number, {}, {}, {}, {}, view.forced};
            if (view.number != 0) {
                flat.primary = view.primary.name;
                flat.incarnations.emplace_back(view.primary.name, view.primary.incarnation);
            }
            for (const auto& backup : view.backups) {
                flat.backups.push_back(backup.name);
                flat.incarnations.emplace_back(backup.name, backup.incarnation);
                if (backup.synced) flat.synced.push_back(backup.name);
            }
            std::string any;
            wire::append_json(any, flat);
            const auto usual = wire::encode("33", PingResult{info, lease, stop});
            const auto start = R"({"jsonrpc":"2.0","id":33,"result":{"view":)" + any + ",\"lease_ms\":";
            CHECK(usual.substr(0, start.size()) == start);
            return usual.substr(start.size());
        };
        CHECK(same({}, 500ms, false) == "500}}");
        CHECK(same({1, one, {}, 0}, 500ms, false) == "500}}");
        CHECK(same({7, one, {two}, 0}, 0ms, true) == "0,\"stop\":true}}");
        CHECK(same({18446744073709551615u, three, {one, two}, 6}, 500ms, false) == "500}}");
        CHECK(same({8, one, {two, three, {"four", Incarnation{4}, true}}, 6}, 500ms, true) == "500,\"stop\":true}}");
        CHECK(same({7, one, {two}, 0}, 1500us, false) == "1.5}}");
        CHECK(same({7, one, {two}, 0}, 1000010ns, false) == "1.00001}}");
        CHECK(same({7, one, {two}, 0}, -1ms, false) == "0}}");
        CHECK(same({0, {}, {two}, 0}, 500ms, false) == "500}}");
        CHECK(same({7, one, {{"caf\xc3\xa9", Incarnation{4}, true}}, 0}, 500ms, false) == "500}}");
        CHECK(same({7, {"a\"b", Incarnation{4}, false}, {}, 0}, 500ms, false) == "500}}");
        CHECK(same({7, {std::string(129, 'x'), Incarnation{4}, false}, {}, 0}, 500ms, false) == "500}}");
    }

    TEST_CASE("every message has one text whichever way it is written") {
        RandomMessages random{4};
        std::set<std::size_t> kinds;
        for (int round = 0; round < 200; ++round)
            for (std::size_t kind = 0; kind < RandomMessages::kinds; ++kind) {
                const auto envelope = random.make(kind);
                const auto usual = wire::encode(envelope.id, envelope.message);
                std::string any(static_cast<std::size_t>(round % 3), '{');  // what was written before has no influence
                const auto before = any.size();
                wire::encode(any, envelope);
                CHECK(usual == any.substr(before));
                const auto read = wire::decode(usual);  // nor the way that the message came
                REQUIRE(std::holds_alternative<wire::Decoded>(read));
                const auto& [id, message] = std::get<wire::Decoded>(read);
                CHECK(usual == wire::encode(id, message));
                kinds.insert(kind);
            }
        CHECK(kinds.size() == RandomMessages::kinds);
    }

    TEST_CASE("texts of any length are written whole") {
        for (std::size_t length = 0; length < 700; ++length) {  // shorter and longer than the buffer
            const std::string id = "\"" + std::string(length % 130, 'i') + "\"";
            const std::string text(length, 't'), json(length + 1, '1');
            const std::string escaped = length % 7 == 0 ? "\n" : "";
            const Message messages[] = {Query{ClusterId{1}, text + escaped, json},
                                        ViewPromote{text, text + escaped},
                                        AppendResult{1, 2, 3, std::vector<std::string>(length % 40, "feature")},
                                        Failure{{}, error::internal, text + escaped, {}, {}, {}}};
            const std::string quoted = "\"" + text + (escaped.empty() ? "\"" : "\\n\"");
            std::string names;
            for (std::size_t n = 0; n < length % 40; ++n) names += n ? ",\"feature\"" : "\"feature\"";
            if (!names.empty()) names = ",\"features\":[" + names + "]";
            const std::string bodies[] = {
                R"(,"method":"pb.query","params":{"cluster":"0000000000000001","group":)" + quoted + R"(,"query":)" +
                    json,
                R"(,"method":"view.promote","params":{"group":")" + text + R"(","server":)" + quoted,
                R"(,"result":{"view":1,"match":2,"round":3)" + names,
                R"(,"error":{"code":)" + std::to_string(wire_code(error::internal)) + R"(,"message":)" + quoted +
                    R"(,"data":{"name":")" + std::string{to_string(error::internal)} + "\"}"};
            for (std::size_t n = 0; n < std::size(messages); ++n)
                CHECK(wire::encode(id, messages[n]) == R"({"jsonrpc":"2.0","id":)" + id + bodies[n] + "}}");
        }
    }

    TEST_CASE("names of features that are too many or too long or not printable are skipped") {
        const auto read = [](const std::string& names) {
            const auto text =
                R"({"jsonrpc":"2.0","id":)" + make_call_id(Method::replica_append, 7).json() +
                R"(,"result":{"view":1,"match":2,"features":[)" + names + "]}}";
            const auto decoded = wire::decode(text);
            REQUIRE(std::holds_alternative<wire::Decoded>(decoded));
            return std::get<AppendResult>(std::get<wire::Decoded>(decoded).message).features;
        };
        CHECK(read(R"("a","b c","","\u0007","\u00e9","\"")") == Features{"a", "\""});
        CHECK(read("\"" + std::string(65, 'x') + "\",\"y\"") == Features{"y"});
        std::string many;
        for (int i = 0; i < 40; ++i) many += (i ? ",\"f" : "\"f") + std::to_string(i) + "\"";
        CHECK(read(many).size() == max_features);
        CHECK(read(many).back() == "f31");
    }

    TEST_CASE("what is rare is left to the general reading") {
        const ClusterId cluster{1};
        CHECK_FALSE(taken(Append{cluster, "main", {3, ViewInfo{}}, {2, 8}, {}, 8, 0}, Method::replica_append));
        CHECK_FALSE(taken(Append{cluster, "main", {3, {}}, {2, 8}, {{{3, 9}, EntryKind::open, {}, 0, 0, {}}}, 8, 0},
                          Method::replica_append));
        CHECK_FALSE(taken(Query{cluster, "caf\xc3\xa9", "1"}, Method::pb_query));
        CHECK_FALSE(taken(ViewGet{"main"}, Method::view_get));
        const auto pinged = [](auto change) {
            Ping ping;
            change(ping);
            return taken(ping, Method::view_ping);
        };
        CHECK(pinged([](Ping&) {}));
        CHECK(pinged([](Ping& it) { it.unreachable = {"b"}; }));
        CHECK(pinged([](Ping& it) { it.stopped = true; }));
        CHECK(pinged([](Ping& it) { it.leaving = true; }));
        CHECK(pinged([](Ping& it) { it.recovered = {Incarnation{1}, Incarnation{2}}; }));
        CHECK(pinged([](Ping& it) { it.protocol = 2; }));
        CHECK_FALSE(pinged([](Ping& it) { it.protocol = -1; }));
        CHECK_FALSE(pinged([](Ping& it) { it.protocol = 1000; }));
        CHECK_FALSE(pinged([](Ping& it) { it.known = ViewInfo{}; }));
        CHECK_FALSE(taken(R"({"jsonrpc":"2.0","id":7,"method":"pb.executepb.query",)"
                          R"("params":{"cluster":"0000000000000001","group":"main","query":1}})"));
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
        Ping ping;
        ping.group = ping.server = "g";
        ping.cluster = cluster;
        ping.synced = {"b", "c"};
        ping.lease = true;
        ping.features = {"e", "f"};
        ping.knew = 4;
        ping.state_view = 3;
        ping.journal = true;
        const Message messages[] = {Execute{cluster, "g", {1, 2}, 5, 4, "[0]"},
                                    Query{cluster, "g", "\"q\""},
                                    Append{cluster, "g", {3, {}}, {2, 8}, {entry, entry}, 8, 1},
                                    ExecuteResult{{3, 9}, "null"},
                                    AppendResult{3, 10, 1, {"e", "f"}},
                                    ping};
        const Method methods[] = {Method::pb_execute, Method::pb_query,       Method::replica_append,
                                  Method::pb_execute, Method::replica_append, Method::view_ping};
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
        CHECK(still > 100);  // those with other digits and letters
    }

    TEST_CASE("commands of the key/value store are read alike in both ways") {
        for (const auto* text : {R"({"op":"put","key":"k","value":"v"})", R"({"op":"append","key":"","value":""})"}) {
            const auto usual = understudy::kv::FastKvCommand::read(text);
            REQUIRE(usual);
            CHECK(usual->command() == understudy::kv::decode_any_kv_command(text));
        }
        for (const auto* text :
             {R"({"op":"put","key":"k","value":"\n"})", R"({"op":"put","key":"k","value":"v","x":1})",
              R"({"op":"put","key":"k","value":"v"} )", R"({"op":"erase","key":"k"})",
              R"({"op":"put","key":"k","value":"v")"})
            CHECK_FALSE(understudy::kv::FastKvCommand::read(text));
    }
}
