// A client that requests much at once and reads slowly: it must get all of it and must not be disconnected.
#include <string>
#include <string_view>

#include <doctest/doctest.h>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include <tests/support/net.hpp>
#include <understudy/clerk.hpp>
#include <understudy/net/unix.hpp>
#include <understudy/understudy.hpp>

using namespace understudy;
using namespace understudy::test;

TEST_CASE("an honest client that pipelines large reads gets all answers") {
    TemporaryFolder folder;
    asio::io_context io;
    ViewService<net::UnixTransport> views{net::UnixTransport{io, folder.address("views")}};
    TransportOptions options;
    options.listen = folder.address("server");
    options.max_frame = options.max_send_queue = 4u << 20;  // of 20 MB that are requested
    options.full_send_queue = 256u << 10;
    PBService<KvStore, net::UnixTransport> server{KvStore{}, net::UnixTransport{io, options},
                                                  ReplicaOptions{.view_service = {views.local()}}};
    Clerk<net::UnixTransport> clerk{net::UnixTransport{io}, ClientOptions{.view_service = {views.local()}}};
    views.async_run(asio::detached);
    server.async_run(asio::detached);
    const std::string value(500'000, 'v');
    bool put = false;
    clerk.async_put("k", value, [&](std::error_code ec) { put = !ec; });
    REQUIRE(run_until(io, [&] { return put; }));

    auto peer = RawPeer::connected_to(server.local());
    const auto cluster = to_hex(views.view().cluster);
    for (int i = 0; i < 40; ++i)
        peer.write(frame(R"({"jsonrpc":"2.0","id":)" + std::to_string(i) +
                         R"(,"method":"pb.query","params":{"cluster":")" + cluster +
                         R"(","group":"main","query":{"op":"get","key":"k"}}})"));
    wire::FrameDecoder decoder{4u << 20};
    std::size_t answers = 0, whole = 0;
    REQUIRE(run_until(io, [&] {
        decoder.feed(peer.read());
        while (const auto payload = decoder.next()) ++answers, whole += payload->find(value) != std::string_view::npos;
        return answers == 40 || peer.ended();
    }));
    CHECK(answers == 40);
    CHECK(whole == 40);
}
