// What happens within the very call that dials.
#include <doctest/doctest.h>
#include <asio/post.hpp>

#include <tests/support/net.hpp>
#include <understudy/net/unix.hpp>

using namespace understudy;
using namespace understudy::test;

TEST_SUITE("dialling") {
    TEST_CASE("an address that is refused at once costs the message and gives Gone") {
        asio::io_context io;
        TemporaryFolder folder;
        Party<net::UnixTransport> party{io};
        bool sent = false;
        asio::post(io, [&] {  // within the context the dial fails before `send` returns
            party.transport.send(folder.address("nobody"), "{}");
            sent = true;
        });
        CHECK(run_until(io, [&] { return sent && !party.diary->all<Gone>().empty(); }));
        CHECK(party.diary->all<Gone>().front().peer == folder.address("nobody"));
    }
}
