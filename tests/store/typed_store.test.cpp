// TypedStore over the key/value store, the ledger of the examples, the Store with the fewest operations, and one that
// violates the requirements.
#include <doctest/doctest.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include <understudy/kv_store.hpp>
#include <understudy/wire/typed_store.hpp>

#include "../../examples/ledger.hpp"
#include "../support/archetypes.hpp"

using namespace understudy;
using ledger::Ledger;
using test::StoreArchetype;
using wire::TypedStore;
using wire::TypedStoreOptions;

TEST_SUITE("typed_store") {
    namespace {

    // Has only the simple snapshot; throws wherever its input says so.
    struct Lawless {
        struct Command {
            std::string what;
        };
        using Query = Command;
        using Reply = std::string;

        std::string check(const Command& command) const {
            if (command.what == "throw in check") throw std::runtime_error("check threw");
            return command.what == "refuse" ? "refused by the store" : "";
        }
        Reply apply(const Command& command) { return answer(command); }
        Reply query(const Query& query) const { return answer(query); }
        std::string snapshot() const { return {}; }
        void restore(std::string_view) { throw std::runtime_error("restore threw"); }

        static std::string answer(const Command& command) {
            if (command.what == "throw") throw std::runtime_error("boom");
            if (command.what == "throw an int") throw 7;
            return command.what == "bytes" ? "\xff" : command.what;
        }
    };
    void from_json(const nlohmann::json& json, Lawless::Command& command) { json.at("what").get_to(command.what); }

    // A stream of single bytes, so that every chunk is split.
    struct Streamed {
        using Command = std::string;
        using Query = std::string;
        using Reply = std::string;
        struct Snapshot {
            std::string left;
            std::string read(std::size_t) {
                auto byte = left.substr(0, 1);
                left.erase(0, 1);
                return byte;
            }
        };
        Reply apply(const Command& command) { return text = command; }
        Reply query(const Query&) const { return text; }
        Snapshot snapshot() const { return {text}; }
        void restore_begin() { incoming.clear(); }
        void restore_chunk(std::string_view bytes) {
            if (bytes == "!") throw std::runtime_error("not this one");
            incoming += bytes;
        }
        void restore_end() { text = incoming; }
        std::string text, incoming;
    };

    struct Choosy : KvStore {
        std::string check(const Command&) const { return "not today"; }
    };

    static_assert(TextStore<TypedStore<KvStore>> && std::copyable<TypedStore<KvStore>> &&
                  std::equality_comparable<TypedStore<KvStore>>);
    static_assert(TextStore<TypedStore<Ledger>> && std::equality_comparable<TypedStore<Ledger>>);
    static_assert(TextStore<TypedStore<StoreArchetype>> && !std::equality_comparable<TypedStore<StoreArchetype>> &&
                  !std::default_initializable<TypedStore<StoreArchetype>>);
    static_assert(TextStore<TypedStore<Lawless>> && TextStore<TypedStore<Streamed>>);
    static_assert(StreamingSnapshot<Streamed> && !SimpleSnapshot<Streamed>);

    std::string good(const TextOutcome& outcome) {
        INFO(outcome.text);
        CHECK(outcome.ok);
        return outcome.text;
    }
    std::string bad(const TextOutcome& outcome) {
        INFO(outcome.text);
        CHECK_FALSE(outcome.ok);
        return outcome.text;
    }

    template <typename Text>
    std::string whole(const Text& store, std::size_t max) {
        auto snapshot = store.snapshot();
        std::string text;
        for (auto piece = snapshot.read(max); !piece.empty(); piece = snapshot.read(max)) {
            CHECK(piece.size() <= max);
            text += piece;
        }
        return text;
    }

    template <typename Text>
    std::string restore(Text& store, std::string_view text, std::size_t piece) {
        if (auto fault = store.restore_begin(); !fault.empty()) return fault;
        for (; !text.empty(); text.remove_prefix(std::min(piece, text.size())))
            if (auto fault = store.restore_chunk(text.substr(0, piece)); !fault.empty()) return fault;
        return store.restore_end();
    }

    }  // namespace

    TEST_CASE("the poorest store is served through nlohmann") {
        TypedStore store{StoreArchetype{40}};
        CHECK(store.check("2").empty());
        CHECK(good(store.apply("2")) == "42");
        CHECK(good(std::as_const(store).query("{}")) == "42");
        CHECK(bad(store.apply("\"2\"")) == "command: type must be number, but is string");
        CHECK(bad(store.query("[]")) == "query: type must be object, but is array");
        CHECK(store.check("{").starts_with("command: parse error at line 1, column 2"));
        TypedStore other{StoreArchetype{0}};
        CHECK(restore(other, whole(store, 1), 1) == "");
        CHECK(good(other.query("{}")) == "42");
        CHECK(restore(other, "x", 1) == "restore: stoi");
        auto moved = std::move(other);
        CHECK(good(moved.query("{}")) == "42");
    }

    TEST_CASE("a store with its own decoders is served through them") {
        TypedStore<KvStore> store;
        CHECK(store.check(R"({"op":"put","key":"a","value":"b"})").empty());
        CHECK(good(store.apply(R"({"op":"put","key":"a","value":{"b64":"/w=="}})")) == "null");
        CHECK(good(store.query(R"({"op":"get","key":"a"})")) == R"({"b64":"/w=="})");
        CHECK(store.check(R"({"op":"put","key":"a"})") == "command: put needs the member 'value'");
        CHECK(bad(store.query(R"({"op":"put","key":"a"})")) == "query: unknown op 'put', expected get or keys");
        const auto long_key = R"({"op":"erase","key":")" + std::string(kv::max_key + 1, 'k') + "\"}";
        CHECK(store.check(long_key) == "the key exceeds 65536 bytes");
        CHECK(good(store.apply(long_key)) == R"({"error":"too_large","limit":65536})");
        TypedStore<KvStore> other;
        CHECK(restore(other, whole(store, 5), 3) == "");
        CHECK(other == store);
        CHECK(restore(other, "x\n", 1).starts_with("restore: snapshot line 1 is malformed"));
    }

    TEST_CASE("a check of text that a store inherits does not stand in for its own check") {
        CHECK(TypedStore<Choosy>{}.check(R"({"op":"put","key":"a","value":"b"})") == "not today");
    }

    TEST_CASE("nothing that a store throws escapes") {
        TypedStore store{Lawless{}};
        CHECK(store.check(R"({"what":"refuse"})") == "refused by the store");
        CHECK(store.check(R"({"what":"throw in check"})") == "command: check threw");
        CHECK(store.check(R"({"what":"ok"})").empty());
        CHECK(store.check("{}") == "command: key 'what' not found");
        CHECK(bad(store.apply(R"({"what":"throw"})")) == "the store threw: boom");
        CHECK(bad(store.query(R"({"what":"throw an int"})")) ==
              "the store threw: an exception that is no std::exception");
        CHECK(bad(store.apply(R"({"what":"bytes"})"))
                  .starts_with("the reply cannot be written as JSON: invalid UTF-8 byte"));
        CHECK(restore(store, "abc", 1) == "restore: restore threw");
        TypedStore streamed{Streamed{}};
        CHECK(restore(streamed, "ab!c", 1) == "restore: not this one");
    }

    TEST_CASE("a snapshot in the streaming form is passed through") {
        TypedStore store{Streamed{"abc", ""}};
        auto snapshot = store.snapshot();
        CHECK(good(store.apply("\"later\"")) == "\"later\"");
        CHECK(snapshot.read(100) == "a");
        CHECK(snapshot.read(100) == "b");
        CHECK(restore(store, "xyz", 2) == "");
        CHECK(good(store.query("\"\"")) == "\"xyz\"");
    }

    TEST_CASE("a simple snapshot is collected up to the bound and not beyond") {
        TypedStore store{Ledger{}, TypedStoreOptions{.max_restore = 10}};
        CHECK(restore(store, "{\"abc\":12}", 3) == "");
        CHECK(restore(store, "{\"abc\":123}", 3) == "restore: the snapshot exceeds max_restore (10 bytes)");
        CHECK(good(store.query(R"({"op":"total"})")) == R"({"balance":12,"status":"ok"})");
        CHECK(restore(store, "{\"abc\":13}", 10) == "");  // a new beginning drops what was collected before
        CHECK(good(store.query(R"({"op":"total"})")) == R"({"balance":13,"status":"ok"})");
    }

    TEST_CASE("the ledger moves money and never makes any by a transfer") {
        TypedStore<Ledger> book;
        CHECK(good(book.apply(R"({"op":"open","account":"ann"})")) == R"({"balance":0,"status":"ok"})");
        CHECK(good(book.apply(R"({"op":"open","account":"bob"})")) == R"({"balance":0,"status":"ok"})");
        CHECK(good(book.apply(R"({"op":"deposit","account":"ann","amount":100})")) ==
              R"({"balance":100,"status":"ok"})");
        CHECK(good(book.apply(R"({"op":"open","account":"ann"})")) == R"({"balance":100,"status":"already_open"})");
        CHECK(good(book.apply(R"({"op":"transfer","from":"ann","to":"bob","amount":30})")) ==
              R"({"balance":70,"status":"ok"})");
        CHECK(good(book.apply(R"({"op":"transfer","from":"ann","to":"bob","amount":71})")) ==
              R"({"balance":70,"status":"insufficient_funds"})");
        CHECK(good(book.apply(R"({"op":"transfer","from":"ann","to":"ann","amount":70})")) ==
              R"({"balance":70,"status":"ok"})");
        CHECK(good(book.apply(R"({"op":"transfer","from":"ann","to":"eve","amount":1})")) ==
              R"({"status":"no_such_account"})");
        CHECK(good(book.apply(R"({"op":"transfer","from":"ann","to":"bob","amount":-1})")) ==
              R"({"balance":70,"status":"bad_amount"})");
        CHECK(good(book.apply(R"({"op":"deposit","account":"bob","amount":9223372036854775807})")) ==
              R"({"balance":30,"status":"too_much"})");
        CHECK(good(book.query(R"({"op":"balance","account":"bob"})")) == R"({"balance":30,"status":"ok"})");
        CHECK(good(book.query(R"({"op":"total"})")) == R"({"balance":100,"status":"ok"})");
        CHECK(book.check(R"({"op":"deposit","account":"ann","amount":0})") == "amount must be positive");
        CHECK(book.check(R"({"op":"deposit","account":"ann","amount":1.5})") ==
              "command: amount must be a whole number of cents");
        CHECK(book.check(R"({"op":"deposit","account":"ann","amount":9223372036854775808})") ==
              "command: amount must be a whole number of cents");
        CHECK(book.check(R"({"op":"deposit","account":7,"amount":1})") ==
              "command: type must be string, but is number");
        CHECK(book.check(R"({"op":"mint"})") == "command: unknown op, expected open, deposit or transfer");
        TypedStore<Ledger> other;
        CHECK(restore(other, whole(book, 4), 5) == "");
        CHECK(other == book);
        CHECK(restore(other, R"({"ann":-1})", 100) == "restore: impossible balance of ann");
        CHECK(other == book);
    }

    TEST_CASE("what the ledger says and hears is read back as it was written") {
        for (const auto& text : {R"({"account":"a","op":"open"})", R"({"account":"a","amount":5,"op":"deposit"})",
                                 R"({"amount":5,"from":"a","op":"transfer","to":"b"})"})
            CHECK(nlohmann::json(nlohmann::json::parse(text).get<ledger::Command>()).dump() == text);
        for (const auto& text : {R"({"op":"total"})", R"({"account":"a","op":"balance"})"})
            CHECK(nlohmann::json(nlohmann::json::parse(text).get<ledger::Query>()).dump() == text);
        for (const ledger::Reply& reply : {ledger::Reply{"ok", 5}, ledger::Reply{"no_such_account", {}}})
            CHECK(nlohmann::json(reply).get<ledger::Reply>() == reply);
    }

}  // TEST_SUITE
