// Probes of a name that has several addresses: the result of some addresses does not decide for all.
#include <poll.h>

#include <doctest/doctest.h>

#include <optional>

#include <tests/support/net.hpp>
#include <understudy/net/connect.hpp>
#include <understudy/net/listen.hpp>

using namespace understudy;
using namespace understudy::test;

TEST_SUITE("probes") {
    namespace {

    using Endpoints = std::vector<net::Connector::Endpoint>;

    asio::awaitable<void> reach(std::shared_ptr<net::Connector> connector, Endpoints endpoints,
                                std::optional<ProbeResult>* result) {
        const std::error_code unresolved = asio::error::host_not_found;
        const auto outcome = co_await connector->reach(std::move(endpoints), 5s, unresolved);
        *result = net::classify(outcome);
    }
    std::optional<ProbeResult> probe(asio::io_context& io, Endpoints endpoints) {
        std::optional<ProbeResult> result;
        auto connector = std::make_shared<net::Connector>(io.get_executor());
        asio::co_spawn(io, reach(std::move(connector), std::move(endpoints), &result), asio::detached);
        REQUIRE(run_until(io, [&] { return result.has_value(); }));
        return result;
    }

    std::optional<ProbeResult> probed(asio::io_context& io, net::AnyTransport& transport) {
        std::optional<ProbeResult> result;
        asio::co_spawn(
            io,
            [](net::AnyTransport& from, std::optional<ProbeResult>* found) -> asio::awaitable<void> {
                const TransportEvents arrivals = co_await from.next(never);
                for (const auto& arrival : arrivals)
                    if (const auto* answer = std::get_if<Probed>(&arrival)) *found = answer->result;
            }(transport, &result),
            asio::detached);
        REQUIRE(run_until(io, [&] { return result.has_value(); }));
        return result;
    }
    /// Probes through a transport, as the view service does.
    std::optional<ProbeResult> ask(asio::io_context& io, net::AnyTransport& transport, const Address& address) {
        transport.probe(address);
        return probed(io, transport);
    }

    // Binds the socket without listening: no other process can take the port meanwhile, and it refuses connections.
    asio::ip::tcp::endpoint take_port(const net::Descriptor& socket) {
        const asio::ip::tcp::endpoint any{asio::ip::address_v4::loopback(), 0};
        REQUIRE(::bind(socket.get(), any.data(), static_cast<socklen_t>(any.size())) == 0);
        return {any.address(), net::detail::bound_port(socket)};
    }

    }  // namespace

    TEST_CASE("a probe of a name with several addresses is refused only if all of them refuse") {
        TemporaryFolder folder;
        asio::io_context io;
        const auto at = [&](const char* name) { return asio::local::stream_protocol::endpoint{folder.file(name)}; };
        const auto nobody = at("nobody");
        const net::Descriptor taken{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        const auto closed = take_port(taken);
        const net::AnyTransport server{io, folder.address("alive")};
        const auto alive = at("alive");
        // A socket of another type is bound there: a connection attempt fails at once, and that is not a refusal.
        const net::Descriptor other{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
        const auto address = net::unix_socket_address(folder.file("other"));
        REQUIRE(::bind(other.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
        const auto faulty = at("other");

        CHECK(probe(io, {nobody, closed}) == ProbeResult::refused);
        CHECK(probe(io, {closed, faulty}) == ProbeResult::unknown);
        CHECK(probe(io, {faulty, nobody}) == ProbeResult::unknown);
        CHECK(probe(io, {closed, alive}) == ProbeResult::alive);
        CHECK(probe(io, {faulty, alive}) == ProbeResult::alive);
        CHECK(probe(io, {alive, faulty}) == ProbeResult::alive);
        CHECK(probe(io, {}) == ProbeResult::unknown);
    }

    TEST_CASE("a server whose socket file was removed is not taken for dead while it lives") {
        TemporaryFolder folder;
        asio::io_context io;
        const auto at = folder.address("server");
        std::optional<net::AnyTransport> server{std::in_place, io, at};
        net::AnyTransport other{io};
        REQUIRE(::unlink(folder.file("server").c_str()) == 0);
        CHECK(ask(io, other, at) == ProbeResult::alive);
        server.reset();
        CHECK(ask(io, other, at) == ProbeResult::refused);
    }

    TEST_CASE("a probe that got through to a listener that dies is none without an answer") {
        asio::io_context io;
        const asio::ip::tcp::endpoint any{asio::ip::address_v4::loopback(), 0};
        std::optional<asio::ip::tcp::acceptor> listener{std::in_place, io, any};
        const auto port = std::to_string(listener->local_endpoint().port());
        net::AnyTransport other{io};
        other.probe("tcp://127.0.0.1:" + port);
        pollfd waits{listener->native_handle(), POLLIN, 0};
        while (::poll(&waits, 1, 0) == 0) REQUIRE(io.run_one() == 1);
        listener.reset();  // together with the connection that was never accepted
        CHECK(probed(io, other) == ProbeResult::alive);
        CHECK(ask(io, other, "tcp://127.0.0.1:" + port) == ProbeResult::refused);
    }
}
