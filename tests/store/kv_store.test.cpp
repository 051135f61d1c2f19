// The key/value store: its commands and queries, their JSON, its limits and its snapshots.
#include <doctest/doctest.h>

#include <map>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include <understudy/kv_store.hpp>
#include <understudy/store.hpp>

using namespace understudy;
using Json = nlohmann::json;

static_assert(Store<KvStore> && StreamingSnapshot<KvStore> && !SimpleSnapshot<KvStore>);
static_assert(std::copyable<KvStore> && std::equality_comparable<KvStore>);

TEST_SUITE("kv_store") {
    namespace {

    std::string apply(KvStore& store, std::string_view text) {
        return KvStore::encode(store.apply(KvStore::decode_command(text)));
    }
    std::string ask(const KvStore& store, std::string_view text) {
        return KvStore::encode(store.query(KvStore::decode_query(text)));
    }

    std::string whole(KvStore::Snapshot snapshot, std::size_t max = 1000) {
        std::string text;
        for (auto piece = snapshot.read(max); !piece.empty(); piece = snapshot.read(max)) {
            REQUIRE(piece.size() <= max);
            text += piece;
        }
        return text;
    }

    void restore(KvStore& store, std::string_view text, std::size_t piece = 7) {
        store.restore_begin();
        for (; !text.empty(); text.remove_prefix(std::min(piece, text.size())))
            store.restore_chunk(text.substr(0, piece));
        store.restore_end();
    }

    template <typename Step>
    std::string thrown(Step&& step) {
        try {
            step();
        } catch (const std::exception& failure) {
            return failure.what();
        }
        return "nothing";
    }

    bool says(const std::string& text, std::string_view part) {
        INFO(text);
        return text.find(part) != text.npos;
    }

    // Draws plain and unusual strings, and some that are not UTF-8.
    std::string draw(std::mt19937& random) {
        static const std::string letters[] = {"a",        "b",    "\"",           "\\",   "\n", std::string(1, '\0'),
                                              "\xc3\xa9", "\xff", "\xed\xa0\x80", "\x01", "/"};
        const unsigned kinds = random() % 3 == 0 ? 11 : 7;
        std::string text;
        for (auto length = random() % 12; length > 0; --length) text += letters[random() % kinds];
        return text;
    }

    }  // namespace

    TEST_CASE("the text of a query has the answer of the query") {
        KvStore store;
        for (const auto& [key, value] : {std::pair{"a", "1"}, {"b", "\"2\" \n"}, {"c", "\xff"}, {"\"d\"", "\xc3\xa4"}})
            store.apply(kv::Put{key, value});
        for (const kv::Query& query : {kv::Query{kv::Get{"a"}},
                                       {kv::Get{"b"}},
                                       {kv::Get{"c"}},
                                       {kv::Get{"\"d\""}},
                                       {kv::Get{"none"}},
                                       {kv::Keys{"", {}, 3}}}) {
            const auto text = KvStore::encode_query(query);
            CAPTURE(text);
            CHECK(store.query_text(text) == KvStore::encode(store.query(query)));
        }
        CHECK(thrown([&] { store.query_text(R"({"op":"get"})"); }) == "get needs the member 'key'");
    }

    TEST_CASE("a reply in its usual form is read as any other") {
        for (const char* text : {"null", "\"\"", "\"plain\"", "\"esc\\u0041ped\"", "\"\xc3\xa4\""}) {
            CAPTURE(text);
            const auto other = " " + std::string{text};  // the space makes the general decoder read it
            CHECK(KvStore::decode_reply(text) == KvStore::decode_reply(other));
        }
        for (const char* text : {"\"open", "\"two\" \"words\"", "nul", "\"control\n\"", "\"\xff\""}) {
            CAPTURE(text);
            CHECK_THROWS_AS(KvStore::decode_reply(text), std::invalid_argument);
        }
    }

    TEST_CASE("the text of a command has the effect and the answer of the command") {
        const std::string long_value(kv::max_value + 1, 'v');
        const kv::Command commands[] = {kv::Put{"a", "1"},           kv::Append{"a", "2"},
                                        kv::Append{"b", "\"3\" \n"}, kv::Put{"c", "\xff"},
                                        kv::Put{"a", long_value},    kv::Append{"a", long_value},
                                        kv::Cas{"a", "4", "12"},     kv::Erase{"b"},
                                        kv::Append{"d", ""},         kv::Put{"\xc3\xa4", "\xf0\x9f\x8c\x8d"}};
        KvStore by_text, prepared, by_command;
        for (const auto& command : commands) {
            const auto text = KvStore::encode_command(command);
            CAPTURE(text.substr(0, 60));
            const auto reply = KvStore::encode(by_command.apply(command));
            CHECK(by_text.apply_prepared(text, {}) == reply);
            CHECK(by_text == by_command);
            PreparedCommand found;
            CHECK(prepared.prepare_text(text, found) == prepared.check(command));
            CHECK(prepared.apply_prepared(text, found) == reply);
            CHECK(prepared == by_command);
            PreparedCommand none;
            CHECK(prepared.prepare_text(" " + text, none) == prepared.check(command));  // the general decoder reads it
            CHECK(none == PreparedCommand{});
        }
        PreparedCommand found;
        CHECK(prepared.prepare_text(R"({"op":"put","key":"a","value":"1"})", found) == "");
        CHECK(found != PreparedCommand{});
        CHECK(thrown([&] { by_text.apply_prepared(R"({"op":"put","key":"a"})", {}); }) ==
              "put needs the member 'value'");
        CHECK(by_text == by_command);
    }

    TEST_CASE("put and get and append and erase answer as the protocol says") {
        KvStore store;
        CHECK(ask(store, R"({"op":"get","key":"a"})") == "null");
        CHECK(apply(store, R"({"op":"put","key":"a","value":"x"})") == "null");
        CHECK(ask(store, R"({"op":"get","key":"a"})") == "\"x\"");
        CHECK(apply(store, R"({"op":"append","key":"a","value":"yz"})") == "3");
        CHECK(apply(store, R"({"op":"append","key":"b","value":"new"})") == "3");
        CHECK(ask(store, R"({"op":"get","key":"a"})") == "\"xyz\"");
        CHECK(apply(store, R"({"op":"erase","key":"a"})") == "true");
        CHECK(apply(store, R"({"op":"erase","key":"a"})") == "false");
        CHECK(ask(store, R"({"op":"get","key":"a"})") == "null");
        CHECK(store.size() == 1);
        CHECK(store.payload_bytes() == 4);
    }

    TEST_CASE("cas sets only what is as expected and tells the value as it is now") {
        KvStore store;
        CHECK(apply(store, R"({"op":"cas","key":"a","value":"1","expect":"0"})") == R"({"ok":false,"value":null})");
        CHECK(apply(store, R"({"op":"cas","key":"a","value":"1"})") == R"({"ok":true,"value":"1"})");
        CHECK(apply(store, R"({"op":"cas","key":"a","value":"2"})") == R"({"ok":false,"value":"1"})");
        CHECK(apply(store, R"({"op":"cas","key":"a","value":"2","expect":null})") == R"({"ok":false,"value":"1"})");
        CHECK(apply(store, R"({"op":"cas","key":"a","value":"2","expect":"x"})") == R"({"ok":false,"value":"1"})");
        CHECK(apply(store, R"({"op":"cas","key":"a","value":"2","expect":"1"})") == R"({"ok":true,"value":"2"})");
        CHECK(apply(store, R"({"op":"cas","key":"empty","value":"1","expect":""})") == R"({"ok":false,"value":null})");
    }

    TEST_CASE("bytes that are not UTF-8 travel as base64 in both directions") {
        KvStore store;
        CHECK(apply(store, R"({"op":"put","key":{"b64":"/w=="},"value":{"b64":"AP8="}})") == "null");
        CHECK(ask(store, R"({"op":"get","key":{"b64":"/w=="}})") == R"({"b64":"AP8="})");
        CHECK(ask(store, R"({"op":"keys"})") == R"([{"b64":"/w=="}])");
        CHECK(apply(store, R"({"op":"cas","key":{"b64":"/w=="},"value":"x","expect":""})") ==
              R"({"ok":false,"value":{"b64":"AP8="}})");
        CHECK(whole(store.snapshot()) == "{\"key\":{\"b64\":\"/w==\"},\"value\":{\"b64\":\"AP8=\"}}\n");
    }

    TEST_CASE("keys come in order and in pages") {
        KvStore store;
        for (const char* key : {"b/2", "a", "b/1", "c", "b/3", ""}) store.apply(kv::Put{key, "v"});
        CHECK(ask(store, R"({"op":"keys"})") == R"(["","a","b/1","b/2","b/3","c"])");
        CHECK(ask(store, R"({"op":"keys","prefix":"b/"})") == R"(["b/1","b/2","b/3"])");
        CHECK(ask(store, R"({"op":"keys","prefix":"b/","limit":2})") == R"(["b/1","b/2"])");
        CHECK(ask(store, R"({"op":"keys","prefix":"b/","after":"b/2"})") == R"(["b/3"])");
        CHECK(ask(store, R"({"op":"keys","prefix":"b/","after":"b/3"})") == "[]");
        CHECK(ask(store, R"({"op":"keys","prefix":"b/","after":"a"})") == R"(["b/1","b/2","b/3"])");
        CHECK(ask(store, R"({"op":"keys","after":""})") == R"(["a","b/1","b/2","b/3","c"])");
        CHECK(ask(store, R"({"op":"keys","after":"b/25","limit":1})") == R"(["b/3"])");
        CHECK(ask(store, R"({"op":"keys","prefix":"d"})") == "[]");
    }

    TEST_CASE("a page is bounded by its default and by its bytes") {
        KvStore store;
        for (int i = 0; i < 1500; ++i) store.apply(kv::Put{std::to_string(10000 + i), ""});
        CHECK(std::get<kv::Page>(store.query(kv::Keys{})).size() == 1000);
        CHECK(std::get<kv::Page>(store.query(kv::Keys{"", std::nullopt, 1'000'000})).size() == 1500);
        KvStore large;
        for (int i = 0; i < 40; ++i)
            large.apply(kv::Put{std::to_string(100 + i) + std::string(kv::max_key - 3, 'k'), ""});
        std::size_t seen = 0;
        std::optional<std::string> after;
        for (int pages = 0; pages < 40; ++pages) {
            auto page = std::get<kv::Page>(large.query(kv::Keys{"", after, 1000}));
            if (page.empty()) break;
            CHECK(page.size() * kv::max_key <= kv::max_page_bytes);
            seen += page.size();
            after = page.back();
        }
        CHECK(seen == 40);
    }

    TEST_CASE("a key or value above its limit is refused before it is logged and harmless after") {
        KvStore store;
        const std::string long_key(kv::max_key + 1, 'k'), long_value(kv::max_value + 1, 'v'), most(kv::max_value, 'v');
        CHECK(says(store.check(kv::Put{long_key, ""}), "the key exceeds 65536 bytes"));
        CHECK(says(store.check(kv::Erase{long_key}), "the key exceeds"));
        CHECK(says(store.check(kv::Append{"a", long_value}), "a value exceeds 2097152 bytes"));
        CHECK(store.check(kv::Put{std::string(kv::max_key, 'k'), most}).empty());
        CHECK(store.apply(kv::Put{"a", long_value}) == kv::Reply{kv::TooLarge{kv::max_value}});
        CHECK(store.apply(kv::Cas{long_key, "", {}}) == kv::Reply{kv::TooLarge{kv::max_key}});
        CHECK(store == KvStore{});
    }

    TEST_CASE("an append that would make the value too large changes nothing and says so") {
        KvStore store;
        store.apply(kv::Put{"a", std::string(kv::max_value - 1, 'v')});
        CHECK(apply(store, R"({"op":"append","key":"a","value":"xy"})") == R"({"error":"too_large","limit":2097152})");
        CHECK(apply(store, R"({"op":"append","key":"a","value":"x"})") == "2097152");
        CHECK(apply(store, R"({"op":"append","key":"a","value":"x"})") == R"({"error":"too_large","limit":2097152})");
        CHECK(apply(store, R"({"op":"append","key":"a","value":""})") == "2097152");
    }

    TEST_CASE("the largest value of the worst bytes fits a frame as JSON") {
        for (char byte : {'\0', '\xff', '"', 'a'})
            CHECK(KvStore::encode(kv::CasResult{false, std::string(kv::max_value, byte)}).size() < (16u << 20) - 4096);
    }

    TEST_CASE("what is wrong with a command is named") {
        auto wrong = [](std::string_view text) { return thrown([&] { KvStore::decode_command(text); }); };
        CHECK(says(wrong(""), "offset 0: expected an object, found the end"));
        CHECK(says(wrong("[]"), "expected an object"));
        CHECK(says(wrong(R"({"key":"a"})"), "a command needs the member 'op'"));
        CHECK(says(wrong(R"({"op":"put","key":"a"})"), "put needs the member 'value'"));
        CHECK(says(wrong(R"({"op":"erase"})"), "erase needs the member 'key'"));
        CHECK(says(wrong(R"({"op":"get","key":"a"})"), "unknown op 'get', expected put, append, erase or cas"));
        CHECK(says(wrong(R"({"op":"put","key":1,"value":""})"),
                   R"(member 'key': expected a string or {"b64":"..."}, found 1)"));
        CHECK(says(wrong(R"({"op":"put","key":{"b64":"/"},"value":""})"), "member 'key': expected {\"b64\""));
        CHECK(says(wrong(R"({"op":"put","key":"a","key":"b","value":""})"), "'key' stands there twice"));
        CHECK(says(wrong("{\"op\":\"put\",\"key\":\"\xff\",\"value\":\"\"}"), "expected well-formed UTF-8"));
        CHECK(says(wrong(R"({"op":"put","key":"a","value":"b"} x)"), "nothing after the value"));
        CHECK(KvStore::decode_command(R"( {"value":"b","ttl":[{"x":1}],"\u006fp":"put","key":"\u0061"} )") ==
              kv::Command{kv::Put{"a", "b"}});
    }

    TEST_CASE("what is wrong with a query is named") {
        auto wrong = [](std::string_view text) { return thrown([&] { KvStore::decode_query(text); }); };
        CHECK(says(wrong(R"({"op":"put"})"), "unknown op 'put', expected get or keys"));
        CHECK(says(wrong(R"({"op":"get"})"), "get needs the member 'key'"));
        CHECK(ask({}, R"({"op":"keys","limit":null})") == "[]");  // as if the member were absent
        CHECK(says(wrong(R"({"op":"keys","limit":0})"), "must be 1 to 10000"));
        CHECK(says(wrong(R"({"op":"keys","limit":10001})"), "must be 1 to 10000"));
        CHECK(says(wrong(R"({"op":"keys","limit":-1})"), "member 'limit': expected a whole number, found -1"));
        CHECK(says(wrong(R"({"op":"keys","limit":"5"})"), "found \"5\""));
        CHECK(says(wrong(R"({"op":"keys","limit":1.5})"), "found 1.5"));
    }

    TEST_CASE("whatever is encoded is read back as it was and is JSON to others") {
        std::mt19937 random{5};
        for (int i = 0; i < 3000; ++i) {
            auto maybe = [&]() -> std::optional<std::string> {
                return random() % 2 ? std::optional{draw(random)} : std::nullopt;
            };
            const kv::Command commands[] = {kv::Put{draw(random), draw(random)}, kv::Append{draw(random), draw(random)},
                                            kv::Erase{draw(random)}, kv::Cas{draw(random), draw(random), maybe()}};
            for (const auto& command : commands) {
                const auto text = KvStore::encode_command(command);
                REQUIRE(Json::accept(text));
                REQUIRE(KvStore::decode_command(text) == command);
            }
            const kv::Query queries[] = {kv::Get{draw(random)}, kv::Keys{draw(random), maybe(), 1 + random() % 10000}};
            for (const auto& query : queries) REQUIRE(KvStore::decode_query(KvStore::encode_query(query)) == query);
            const kv::Reply replies[] = {std::monostate{},
                                         random() % 2 == 0,
                                         std::uint64_t{random()},
                                         draw(random),
                                         kv::Page{draw(random), draw(random)},
                                         kv::Page{},
                                         kv::CasResult{random() % 2 == 0, maybe()},
                                         kv::TooLarge{random()}};
            for (const auto& reply : replies) {
                const auto text = KvStore::encode(reply);
                REQUIRE(Json::accept(text));
                REQUIRE(KvStore::decode_reply(text) == reply);
            }
        }
        for (const char* text :
             {"", "1.5", "-1", "[1]", "{}", R"({"error":"too_large"})", "truex", "\"", R"({"b64":1})"}) {
            INFO(text);
            CHECK_THROWS_AS(KvStore::decode_reply(text), std::invalid_argument);
        }
    }

    TEST_CASE("stores of equal content have equal snapshots whatever their history") {
        std::mt19937 random{11};
        KvStore one, other;
        std::map<std::string, std::string> model;
        for (int i = 0; i < 2000; ++i) {
            const auto key = draw(random);
            if (random() % 4 == 0) {
                one.apply(kv::Erase{key});
                model.erase(key);
            } else {
                const auto value = draw(random);
                one.apply(kv::Append{key, value});
                model[key] += value;
            }
        }
        for (auto at = model.rbegin(); at != model.rend(); ++at) other.apply(kv::Put{at->first, at->second});
        CHECK(one == other);
        CHECK(whole(one.snapshot()) == whole(other.snapshot()));
        other.apply(kv::Put{"another", ""});
        CHECK_FALSE(one == other);
        CHECK(whole(one.snapshot()) != whole(other.snapshot()));
    }

    TEST_CASE("a snapshot stays as it was taken and can be split anywhere on both sides") {
        std::mt19937 random{13};
        KvStore store;
        for (int i = 0; i < 300; ++i) store.apply(kv::Put{draw(random) + std::to_string(i), draw(random)});
        const auto before = store;
        const auto text = whole(store.snapshot());
        auto snapshot = store.snapshot();
        auto read = snapshot.read(1000);
        for (int i = 0; i < 300; ++i) store.apply(kv::Put{std::to_string(i), "later"});
        auto fork = snapshot;  // a copy continues independently
        CHECK(read + whole(std::move(snapshot)) == text);
        CHECK(read + whole(std::move(fork), 3) == text);
        for (std::size_t piece : {1u, 2u, 63u, 5000u, 1000000u}) {
            KvStore restored;
            restored.apply(kv::Put{"to be", "replaced"});
            restore(restored, text, piece);
            REQUIRE(restored == before);
            REQUIRE(whole(restored.snapshot(), piece) == text);
        }
        KvStore emptied = before;
        restore(emptied, "");
        CHECK(emptied == KvStore{});
    }

    TEST_CASE("a snapshot that cannot be read names the line and leaves the content alone") {
        KvStore store;
        store.apply(kv::Put{"kept", "v"});
        auto wrong = [&](std::string_view text) { return thrown([&] { restore(store, text); }); };
        const std::string good = "{\"key\":\"a\",\"value\":\"1\"}\n";
        CHECK(says(wrong(good + "{\"key\":\"b\"}\n"), "snapshot line 2 is malformed: a line needs the member 'value'"));
        CHECK(says(wrong(good + good), "snapshot line 2 is out of order"));
        CHECK(says(wrong(good + "{\"key\":\"b\",\"va"), "snapshot line 2 is cut off"));
        CHECK(says(wrong("\n" + good), "snapshot line 1 is malformed"));
        CHECK(says(wrong("garbage\n"), "snapshot line 1 is malformed: offset 0"));
        CHECK(says(wrong(good + "{\"key\":\"" + std::string(kv::max_key + 1, 'k') + "\",\"value\":\"\"}\n"),
                   "line 2 holds a key or value above"));
        CHECK(says(wrong(good + "{\"key\":\"b\",\"value\":\"" + std::string(kv::max_value + 1, 'v') + "\"}\n"),
                   "line 2 holds a key or value above"));
        CHECK(says(thrown([&] { restore(store, std::string(20u << 20, 'x'), 1u << 20); }),
                   "snapshot line 1 is longer than"));
        CHECK(says(thrown([&] { KvStore{}.restore_chunk("x"); }), "without restore_begin"));
        CHECK(says(thrown([&] { KvStore{}.restore_end(); }), "without restore_begin"));
        CHECK(ask(store, R"({"op":"get","key":"kept"})") == "\"v\"");
        restore(store, good);
        CHECK(ask(store, R"({"op":"keys"})") == R"(["a"])");
    }

    TEST_CASE("a line of a snapshot can be read by itself") {
        CHECK(KvStore::decode_record(R"({"key":"a","value":{"b64":"/w=="}})") == kv::Record{"a", "\xff"});
        CHECK_THROWS_AS(KvStore::decode_record("{}"), std::invalid_argument);
    }

}  // TEST_SUITE
