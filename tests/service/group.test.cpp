// A whole group over the transport with the fewest operations: view service, servers and clerks, and a primary that
// dies.
#include <doctest/doctest.h>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>

#include <tests/support/service_world.hpp>

using namespace understudy;
using namespace std::chrono_literals;
using test::Kept;
using test::ServiceWorld;

TEST_SUITE("group") {
    namespace {

    // Every operation of a clerk, one after the other.
    asio::awaitable<void> every_verb(Clerk<ServiceWorld::T>& clerk, bool& done) {
        co_await clerk.async_put("colour", "blue");
        std::string colour = co_await clerk.async_get("colour");
        CHECK(colour == "blue");
        Result<std::string> found = co_await clerk.async_get("colour", with_position);
        CHECK(found.value == "blue");
        auto length = co_await clerk.async_append("colour", "ish");
        CHECK(length == 7);
        Result<std::uint64_t> longer = co_await clerk.async_append("colour", "!", with_position);
        CHECK(longer.value == 8);
        CHECK(longer.at > found.at);
        const std::string bytes("\xff\0\n\"", 4);
        co_await clerk.async_put(bytes, bytes);
        std::string back = co_await clerk.async_get(bytes);
        CHECK(back == bytes);
        kv::CasResult swapped = co_await clerk.async_compare_and_set("lock", std::nullopt, "me");
        CHECK(swapped.ok);
        kv::CasResult again = co_await clerk.async_compare_and_set("lock", std::nullopt, "you");
        CHECK(!again.ok);
        CHECK(again.value == "me");
        std::optional<std::string> none;
        kv::Page keys = co_await clerk.async_keys("", none, 10);
        CHECK(keys == kv::Page{"colour", "lock", bytes});
        bool erased = co_await clerk.async_erase("lock");
        CHECK(erased);
        erased = co_await clerk.async_erase("lock");
        CHECK(!erased);
        done = true;
    }

    asio::awaitable<void> dump(Clerk<ServiceWorld::T>& clerk, std::string& text, Position& at) {
        std::function<void(std::string_view)> sink = [&](std::string_view piece) { text += piece; };
        at = co_await clerk.async_dump(sink);
    }

    }  // namespace

    TEST_CASE("every verb of a clerk does its work") {
        ServiceWorld world;
        world.start("a");
        auto clerk = world.clerk();
        bool done = false;
        asio::co_spawn(world.io, every_verb(clerk, done), asio::detached);
        CHECK(world.network.until([&] { return done; }, 5s));
        Kept<std::string> missing;
        clerk.async_get("nothing", missing);
        CHECK(world.network.until([&] { return missing.done(); }));
        CHECK(missing.ec() == error::key_not_found);
        Kept<void> large;
        clerk.async_put(std::string(kv::max_key + 1, 'k'), "v", large);
        CHECK(world.network.until([&] { return large.done(); }));
        CHECK(large.ec() == error::bad_request);
    }

    TEST_CASE("what was answered survives the primary and calls under way go on at the next one") {
        ServiceWorld world;
        world.start("a");
        world.start("b");
        REQUIRE(world.ready(1));
        auto clerk = world.clerk();
        std::string expected;
        for (int i = 0; i < 20; ++i) {
            auto piece = std::to_string(i) + ";";
            expected += piece;
            Kept<std::uint64_t> appended;
            clerk.async_append("log", piece, appended);
            if (i == 7 || i == 13) {
                auto dead = world.primary();
                world.kill(dead);  // with the append in flight
                CHECK(world.network.until([&] { return appended.done(); }));
                world.start(dead);
                REQUIRE(world.ready(1));
            }
            CHECK(world.network.until([&] { return appended.done(); }));
            CHECK(!appended.ec());
            CHECK(appended.value() == expected.size());
        }
        Kept<std::string> value;
        clerk.async_get("log", value);
        CHECK(world.network.until([&] { return value.done(); }));
        CHECK(value.value() == expected);
        CHECK(clerk.view().view.number >= 4);
    }

    TEST_CASE("a host executes and reads from inside the primary") {
        ServiceWorld world;
        auto& a = world.start("a");
        auto& b = world.start("b");
        REQUIRE(world.ready(1));
        auto& primary = world.primary() == "a" ? a : b;
        auto& backup = world.primary() == "a" ? b : a;
        Kept<KvStore::Reply> appended, refused, read;
        Kept<Result<KvStore::Reply>> read_at;
        primary.async_execute(kv::Append{"k", "value"}, appended);
        backup.async_execute(kv::Put{"k", "value"}, refused);
        CHECK(!appended.done());  // never completes inside the call
        CHECK(world.network.until([&] { return appended.done() && refused.done(); }, 1s));
        CHECK(!appended.ec());
        CHECK(appended.value() == KvStore::Reply{std::uint64_t{5}});
        CHECK(refused.ec() == error::not_primary);
        primary.async_query(kv::Get{"k"}, read);
        primary.async_query(kv::Get{"k"}, with_position(read_at));
        CHECK(world.network.until([&] { return read.done() && read_at.done(); }, 1s));
        CHECK(read.value() == KvStore::Reply{std::string{"value"}});
        CHECK(read_at.value().at.index == 1);
        CHECK(primary.store().size() == 1);
        CHECK(primary.status().role == Role::primary);
        CHECK(backup.role() == Role::backup);
    }

    TEST_CASE("becoming and ceasing to be primary can be awaited") {
        ServiceWorld world;
        world.start("a");
        REQUIRE(world.ready(0));
        auto& b = world.start("b");
        Kept<void> backup, primary, not_primary;
        b.async_wait_role(Role::backup, backup);
        b.async_wait_primary(primary);
        b.async_wait_not_primary(not_primary);
        CHECK(world.network.until([&] { return backup.done() && not_primary.done(); }, 5s));
        REQUIRE(world.ready(1));
        CHECK(!primary.done());
        world.kill("a");
        CHECK(world.network.until([&] { return primary.done(); }, 5s));
        CHECK(!primary.ec());
        CHECK(b.serving());
    }

    TEST_CASE("R6: a primary that leaves hands over without a gap and can then stop") {
        ServiceWorld world;
        auto& a = world.start("a");
        REQUIRE(world.ready(0));
        world.start("b");
        REQUIRE(world.ready(1));
        auto clerk = world.clerk();
        Kept<void> put, left, again;
        clerk.async_put("k", "v", put);
        a.async_leave(5s, left);
        CHECK(world.network.until([&] { return left.done(); }, 2s));
        CHECK(!left.ec());
        CHECK(world.primary() == "b");
        world.kill("a");
        clerk.async_put("k", "w", again);
        CHECK(world.network.until([&] { return again.done() && put.done(); }, 2s));
        CHECK(!put.ec());
        CHECK(!again.ec());
    }

    TEST_CASE("a sole primary that wants to leave goes on serving when the time has passed") {
        ServiceWorld world;
        auto& a = world.start("a");
        REQUIRE(world.ready(0));
        Kept<void> left, put;
        a.async_leave(1s, left);
        world.network.advance(900ms);
        CHECK(!left.done());
        world.network.advance(200ms);
        REQUIRE(left.done());
        CHECK(left.ec() == error::deadline_passed);
        CHECK(a.serving());
        auto clerk = world.clerk();
        clerk.async_put("k", "v", put);
        CHECK(world.network.until([&] { return put.done(); }, 2s));
        CHECK(!put.ec());
    }

    TEST_CASE("a dump is a consistent snapshot of a group at work") {
        ServiceWorld world;
        ReplicaOptions options;
        options.chunk_bytes = 64;
        world.start("a", options);
        REQUIRE(world.ready(0));
        auto clerk = world.clerk();
        Kept<void> put;
        for (int i = 0; i < 20; ++i) clerk.async_put("key" + std::to_string(i), "v", put);
        CHECK(world.network.until([&] { return put.done(); }));
        world.network.advance(100ms);
        std::string text;
        Position at;
        asio::co_spawn(world.io, dump(clerk, text, at), asio::detached);
        CHECK(world.network.until([&] { return at.index != 0; }, 5s));
        CHECK(std::count(text.begin(), text.end(), '\n') >= 20);
        CHECK(at.index >= 20);
    }
}
