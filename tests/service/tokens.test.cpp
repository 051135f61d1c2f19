// The conventions of Asio that services and clients keep: the executor type, default tokens, which tokens a call takes;
// and the library's own token `with_position`.
#include <doctest/doctest.h>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_future.hpp>

#include <tests/support/transport_archetype.hpp>
#include <understudy/admin.hpp>
#include <understudy/clerk.hpp>
#include <understudy/net/tcp.hpp>
#include <understudy/pb_service.hpp>
#include <understudy/view_service.hpp>

using namespace understudy;
using namespace std::chrono_literals;
using test::ArchetypeTransport;
using test::MemoryNetwork;

TEST_SUITE("completion tokens") {
    namespace {

    // A transport whose executor says that nobody waits for calls.
    using Detaching = asio::detached_t::executor_with_default<asio::any_io_executor>;
    using DetachingTransport = net::OnExecutor<ArchetypeTransport, Detaching>;

    using Plain = Clerk<ArchetypeTransport>;
    using Detached = Clerk<DetachingTransport>;

    static_assert(std::same_as<Plain::executor_type, asio::any_io_executor>);
    static_assert(std::same_as<Detached::executor_type, Detaching>);
    static_assert(std::same_as<Client<KvStore, DetachingTransport>::executor_type, Detaching>);
    static_assert(std::same_as<Admin<DetachingTransport>::executor_type, Detaching>);
    static_assert(std::same_as<ViewService<DetachingTransport>::executor_type, Detaching>);
    static_assert(std::same_as<PBService<KvStore, DetachingTransport>::executor_type, Detaching>);
    static_assert(Transport<asio::use_awaitable_t<>::as_default_on_t<net::TcpTransport>>);

    // What `async_put("key", "value", arguments...)` takes.
    template <typename C, typename... Args>
    concept Puts = requires(C& clerk, Args... args) { clerk.async_put("key", "value", args...); };
    using Positioned = decltype(with_position([](std::error_code, Result<void>) {}));
    using Unpositioned = decltype(with_position([](std::error_code) {}));
    using Wrong = decltype([](std::error_code, int) {});

    static_assert(Puts<Plain> && Puts<Plain, Duration> && Puts<Plain, asio::use_future_t<>>);
    static_assert(Puts<Plain, Duration, asio::use_awaitable_t<>> && Puts<Plain, Duration, WithPosition<void>>);
    static_assert(Puts<Plain, Positioned> && Puts<Plain, WithPosition<asio::use_awaitable_t<>>>);
#if defined(ASIO_HAS_CONCEPTS)
    static_assert(!Puts<Plain, Wrong> && !Puts<Plain, Duration, Wrong> && !Puts<Plain, Unpositioned>);
    static_assert(!Puts<Plain, WithPosition<Wrong>>);
#endif

    struct Fixture {
        asio::io_context io;
        MemoryNetwork network{io};
        ClientOptions options{.view_service = {"server"}};
        Plain clerk{ArchetypeTransport{network}, options};

        std::error_code ec;
        auto keep() {
            return [this](std::error_code code, const auto&...) { ec = code; };
        }
    };

    asio::awaitable<void> await_each(Plain& clerk, std::vector<std::error_code>& ended) {
        std::error_code ec;
        Result<void> put = co_await clerk.async_put("key", "value", 10ms,
                                                    with_position(asio::redirect_error(asio::use_awaitable, ec)));
        ended.push_back(ec);
        CHECK(put.at == Position{});
        try {
            Result<std::string> found = co_await clerk.async_get("key", 10ms, with_position);
            CHECK(found.value.empty());
        } catch (const std::system_error& failed) {
            ended.push_back(failed.code());
        }
    }

    }  // namespace

    TEST_CASE("the default token follows the executor of the transport") {
        asio::io_context io;
        MemoryNetwork network{io};
        DetachingTransport transport{ArchetypeTransport{network}};
        Detached clerk{std::move(transport), ClientOptions{.view_service = {"server"}}};
        static_assert(std::is_void_v<decltype(clerk.async_put("key", "value"))>);
        static_assert(std::is_void_v<decltype(clerk.async_get("key", 1s))>);
        static_assert(std::is_void_v<decltype(clerk.async_get("key", with_position))>);
        clerk.async_put("key", "value");  // an awaitable would be dropped with a warning, and do nothing
        CHECK(clerk.get_executor() == io.get_executor());
        clerk.stop();
        network.settle();
    }

    TEST_CASE("a call of a clerk may have a deadline of its own") {
        Fixture fixture;
        auto& clerk = fixture.clerk;
        const auto ended_in = [&](auto start) {
            fixture.ec = {};
            start();
            fixture.network.settle();
            CHECK(!fixture.ec);
            fixture.network.advance(20ms);
            return fixture.ec;
        };
        const std::optional<std::string> none;
        const std::error_code passed = error::deadline_passed;
        CHECK(ended_in([&] { clerk.async_put("key", "value", 10ms, fixture.keep()); }) == passed);
        CHECK(ended_in([&] { clerk.async_append("key", "value", 10ms, fixture.keep()); }) == passed);
        CHECK(ended_in([&] { clerk.async_erase("key", 10ms, fixture.keep()); }) == passed);
        CHECK(ended_in([&] { clerk.async_compare_and_set("key", none, "value", 10ms, fixture.keep()); }) == passed);
        CHECK(ended_in([&] { clerk.async_get("key", 10ms, fixture.keep()); }) == passed);
        CHECK(ended_in([&] { clerk.async_keys("key", none, 10, 10ms, fixture.keep()); }) == passed);
    }

    TEST_CASE("with_position takes any token and stands alone for the default one") {
        Fixture fixture;
        std::vector<std::error_code> ended;
        asio::co_spawn(fixture.io, await_each(fixture.clerk, ended), asio::detached);
        fixture.network.advance(50ms);
        CHECK(ended == std::vector<std::error_code>(2, error::deadline_passed));
        auto future = fixture.clerk.async_put("key", "value", 10ms, with_position(asio::use_future));
        static_assert(std::same_as<decltype(future), std::future<Result<void>>>);
        // A handler that is neither copied nor known by its type, on an executor that is no trivial object.
        auto handler = [owned = std::make_unique<int>(1), &fixture](std::error_code ec, Result<void>) {
            fixture.ec = ec;
        };
        fixture.clerk.async_put("key", "value", 10ms,
                                with_position(asio::bind_executor(fixture.clerk.get_executor(), std::move(handler))));
        fixture.network.advance(50ms);
        CHECK(fixture.ec == error::deadline_passed);
        REQUIRE(future.wait_for(0s) == std::future_status::ready);
        CHECK_THROWS_AS(future.get(), std::system_error);
    }
}
