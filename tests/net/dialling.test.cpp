// What happens inside the call that dials.
#include <doctest/doctest.h>
#include <asio/post.hpp>

#include <tests/support/net.hpp>
#include <understudy/net/backoff.hpp>
#include <understudy/net/unix.hpp>

using namespace understudy;
using namespace understudy::test;

TEST_SUITE("dialling") {
    TEST_CASE("an address that is refused at once costs the message and gives Disconnected") {
        asio::io_context io;
        TemporaryFolder folder;
        Endpoint<net::UnixTransport> endpoint{io};
        bool sent = false;
        asio::post(io, [&] {  // inside the context the dial fails before `send` returns
            endpoint.transport.send(folder.address("nobody"), "{}");
            sent = true;
        });
        CHECK(run_until(io, [&] { return sent && !endpoint.diary->all<Disconnected>().empty(); }));
        CHECK(endpoint.diary->all<Disconnected>().front().peer == folder.address("nobody"));
    }

    TEST_CASE("however long an address was away it is dialled again within redial_last") {
        asio::io_context io;
        TemporaryFolder folder;
        TransportOptions options;
        options.redial_first = 1ms;
        options.redial_last = 10ms;
        Endpoint<net::UnixTransport> endpoint{io, options};
        // with a wait that doubles each time, the last would be twelve days
        for (std::size_t times = 1; times <= 30; ++times) {
            endpoint.transport.send(folder.address("nobody"), "{}");
            REQUIRE(run_until(io, [&] { return endpoint->count<Disconnected>() == times; }));
        }
        net::Backoff backoff;
        Time now{};
        for (; now < Time{1h}; now += backoff.left(now)) {
            backoff.lengthen(now, 10ms, 1s, ~std::uint64_t{});
            REQUIRE(backoff.left(now) <= 1s);
            REQUIRE(backoff.left(now) > 0s);
        }
    }
}
