// Commands and queries in co_await expressions: in each form that the pages show they are constructed and destroyed
// equally often.
#include <set>

#include <doctest/doctest.h>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_future.hpp>
#include <nlohmann/json.hpp>

#include <tests/support/transport_archetype.hpp>
#include <understudy/admin.hpp>
#include <understudy/clerk.hpp>
#include <understudy/pb_service.hpp>

using namespace understudy;
using namespace understudy::view_service;
using namespace understudy::replica;
using namespace std::chrono_literals;
using test::ArchetypeTransport;
using test::MemoryNetwork;

namespace locks {

// A text too long for the string's own buffer; it records the addresses of all live objects of its type.
struct Text {
    std::string text;

    Text(const char* from) : text{std::string(40, '.') + from} { born(); }  // NOLINT: implicit, as a host's may be
    Text(const Text& other) : text{other.text} { born(); }
    Text(Text&& other) noexcept : text{std::move(other.text)} { born(); }
    Text& operator=(const Text&) = default;
    ~Text() { bad += live.erase(this) == 1 ? 0 : 1; }

    static inline std::set<const Text*> live;
    static inline int bad = 0;

private:
    void born() { bad += live.insert(this).second ? 0 : 1; }
};

struct Acquire {
    Text name;
    Text owner = "nobody";
    bool wait = false;
};
struct Release {
    Text name;
};
struct Owner {
    Text name;
};
struct Renamed {
    Acquire acquire;
    int times = 0;
};
class Count {
public:
    explicit Count(int of) : of_{of} {}
    int of() const { return of_; }

private:
    int of_;
};

using Command = std::variant<Acquire, Release, Renamed, Count>;
struct Query {
    Text name;
    int depth = 0;
};

std::string encoded;  // the last command or query

struct Encoder {
    std::string operator()(const Acquire& value) const {
        const auto text = "acquire " + value.name.text.substr(40) + " " + value.owner.text.substr(40);
        return text + (value.wait ? " wait" : "");
    }
    std::string operator()(const Release& value) const { return "release " + value.name.text.substr(40); }
    std::string operator()(const Renamed& value) const { return (*this)(value.acquire) + std::to_string(value.times); }
    std::string operator()(const Count& value) const { return "count " + std::to_string(value.of()); }
};
void to_json(nlohmann::json& json, const Command& command) { json = encoded = std::visit(Encoder{}, command); }
void to_json(nlohmann::json& json, const Query& query) {
    json = encoded = "query " + query.name.text.substr(40) + std::to_string(query.depth);
}

}  // namespace locks

// The commands and queries are only sent here and never decoded.
template <>
struct nlohmann::adl_serializer<locks::Command> {
    static void to_json(json& to, const locks::Command& from) { locks::to_json(to, from); }
    static locks::Command from_json(const json&) { return locks::Count{1}; }
};
template <>
struct nlohmann::adl_serializer<locks::Query> {
    static void to_json(json& to, const locks::Query& from) { locks::to_json(to, from); }
    static locks::Query from_json(const json&) { return {""}; }
};

TEST_SUITE("commands in place") {
    namespace {

    using locks::Acquire;
    using locks::Count;
    using locks::Query;
    using locks::Release;
    using locks::Renamed;
    using locks::Text;

    struct Locks {
        using Command = locks::Command;
        using Query = locks::Query;
        using Reply = int;
        Reply apply(const Command&) { return 0; }
        Reply query(const Query&) const { return 0; }
        std::string snapshot() const { return {}; }
        void restore(std::string_view) {}
    };
    using LockClient = Client<Locks, ArchetypeTransport>;
    using LockServer = PBService<Locks, ArchetypeTransport>;
    using Ended = std::error_code;

    ClientOptions options() {
        ClientOptions options;
        options.view_service = {"server"};
        return options;
    }

    // Runs a coroutine that awaits one call of a client that then stops. Every Text that the coroutine made must
    // be destroyed afterwards.
    template <typename Call>
    std::string awaited(Call call) {
        Text::live.clear(), Text::bad = 0, locks::encoded.clear();
        std::error_code ec;
        {
            asio::io_context io;
            MemoryNetwork network{io};
            ArchetypeTransport listener{network, "server"};
            std::optional<LockClient> client{std::in_place, ArchetypeTransport{network}, options()};
            asio::co_spawn(io, call(*client, ec), asio::detached);
            io.poll();
            client.reset();
            io.restart();
            io.poll();
        }
        CHECK(ec == asio::error::operation_aborted);
        CHECK(Text::bad == 0);
        CHECK(Text::live.empty());
        return locks::encoded;
    }
    auto into(Ended& ec) { return asio::redirect_error(asio::use_awaitable, ec); }

    asio::awaitable<void> acquire(LockClient& client, Ended& ec) {
        co_await client.async_execute<Acquire>("door", "me", into(ec));
    }
    asio::awaitable<void> acquire_thrown(LockClient& client, Ended& ec) {
        try {
            co_await client.async_execute<Acquire>("door", "me", true);
        } catch (const std::system_error& failed) {
            ec = failed.code();
        }
    }
    asio::awaitable<void> acquire_with_texts(LockClient& client, Ended& ec) {
        Text owner = "me";
        co_await client.async_execute<Acquire>(Text{"door"}, owner, with_position(into(ec)));
    }
    asio::awaitable<void> release(LockClient& client, Ended& ec) {
        co_await client.async_execute<Release>("door", into(ec));
    }
    asio::awaitable<void> count(LockClient& client, Ended& ec) { co_await client.async_execute<Count>(3, into(ec)); }
    asio::awaitable<void> whole(LockClient& client, Ended& ec) {
        co_await client.async_execute<locks::Command>(Count{4}, into(ec));
    }
    asio::awaitable<void> nested(LockClient& client, Ended& ec) {
        const Acquire inner{"door", "me"};
        co_await client.async_execute<Renamed>(inner, 2, into(ec));
    }
    asio::awaitable<void> owner(LockClient& client, Ended& ec) {
        co_await client.async_query<Query>("door", 7, into(ec));
    }
    asio::awaitable<void> owner_at(LockClient& client, Ended& ec) {
        co_await client.async_query<Query>("door", with_position(into(ec)));
    }
    asio::awaitable<void> named(LockClient& client, Ended& ec) {
        const Acquire named{"door", "me"};
        co_await client.async_execute(named, 1s, into(ec));
    }

    TEST_CASE("a command that is made in the call is built and destroyed equally often") {
        CHECK(awaited(acquire) == "acquire door me");
        CHECK(awaited(acquire_thrown) == "acquire door me wait");
        CHECK(awaited(acquire_with_texts) == "acquire door me");
        CHECK(awaited(release) == "release door");
        CHECK(awaited(count) == "count 3");
        CHECK(awaited(whole) == "count 4");
        CHECK(awaited(nested) == "acquire door me2");
    }

    TEST_CASE("a query that is made in the call is built and destroyed equally often") {
        CHECK(awaited(owner) == "query door7");
        CHECK(awaited(owner_at) == "query door0");
    }

    TEST_CASE("a command that is named first may have a deadline of its own") {
        CHECK(awaited(named) == "acquire door me");
    }

    TEST_CASE("what follows the arguments of a command may be any token") {
        asio::io_context io;
        MemoryNetwork network{io};
        ArchetypeTransport listener{network, "server"};
        LockClient client{ArchetypeTransport{network}, options()};
        int ended = 0;
        // A lambda without captures converts to `bool`; it must still be taken as the handler.
        static int emitted = 0;
        emitted = 0;
        client.async_execute<Acquire>("door", "me", [](std::error_code, int) { ++emitted; });
        client.async_execute<Acquire>("door", "me", true,
                                      with_position([&](std::error_code, Result<int>) { ++ended; }));
        client.async_query<Query>("door", [&](std::error_code, int) { ++ended; });
        auto future = client.async_execute<Release>("door", asio::use_future);
        client.async_execute<Count>(5, asio::detached);
        // Temporaries outside of co_await expressions are safe, and cause no warning.
        client.async_execute(Acquire{"door", "me"}, [&](std::error_code, int) { ++ended; });
        client.async_query({"door"}, 1s, [&](std::error_code, int) { ++ended; });
        client.async_execute<Renamed>(Acquire{"door"}, 1, [&](std::error_code, int) { ++ended; });
        client.stop();
        io.poll();
        CHECK(emitted == 1);
        CHECK(ended == 5);
        CHECK_THROWS_AS(future.get(), std::system_error);
    }

    TEST_CASE("a server makes commands and queries of its own in place") {
        asio::io_context io;
        MemoryNetwork network{io};
        ReplicaOptions of_server{.view_service = {"server"}};
        LockServer server{Locks{}, ArchetypeTransport{network, "replica"}, of_server};
        std::vector<Ended> ended;
        const auto keep = [&](Ended ec, auto&&) { ended.push_back(ec); };
        server.async_execute<Acquire>("door", "me", keep);
        CHECK(locks::encoded == "acquire door me");
        server.async_execute<Release>("door", with_position(keep));
        server.async_query<Query>("door", keep);
        server.async_query<Query>("door", 2, with_position(keep));
        CHECK(locks::encoded == "query door2");
        io.poll();
        CHECK(ended == std::vector<Ended>(4, error::closed));
    }

    // The cases that the warning distinguishes.
    using detail::Awaited;
    using detail::Fragile;
    using Awaiting = asio::use_awaitable_t<>;
    using Handler = decltype([](std::error_code, int) {});
    constexpr bool fragile = detail::await_destroys_twice;
    static_assert(Fragile<Acquire> == fragile && Fragile<locks::Command> == fragile && Fragile<Acquire&&> == fragile);
    static_assert(!Fragile<Acquire&> && !Fragile<const Acquire&> && !Fragile<Text> && !Fragile<Count>);
    static_assert(!Fragile<std::string> && !Fragile<std::optional<std::string>> && !Fragile<Duration>);
    static_assert(Awaited<>::value && Awaited<Duration>::value && Awaited<Awaiting>::value);
    static_assert(Awaited<const Awaiting&>::value && Awaited<Duration, decltype(into(std::declval<Ended&>()))>::value);
    static_assert(!Awaited<Handler>::value && !Awaited<Duration, Handler>::value);
    static_assert(!Awaited<asio::detached_t>::value && !Awaited<asio::use_future_t<>>::value);
}
}
