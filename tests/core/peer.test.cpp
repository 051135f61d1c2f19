// Peers: addresses that are shared instead of copied.
#include <doctest/doctest.h>

#include <string>

#include <understudy/peer.hpp>
#include <understudy/replica/calls.hpp>

using namespace understudy;

TEST_SUITE("peer") {
    TEST_CASE("peers of the same address are equal whether they share it or not") {
        const Peer one = Address{"tcp://192.0.2.7:51234#17"}, copy = one, other = "tcp://192.0.2.7:51234#17";
        CHECK(one == copy);
        CHECK(one == other);
        CHECK(one.hash() == other.hash());
        CHECK(one == "tcp://192.0.2.7:51234#17");
        CHECK(one != Peer{"tcp://192.0.2.7:51234#18"});
        CHECK(one != Peer{});
        CHECK(one > Peer{"tcp://192.0.2.7:51234#16"});
    }

    TEST_CASE("a peer without an address has the empty one") {
        CHECK(Peer{}.address().empty());
        CHECK(Peer{} == Address{});
        CHECK(Peer{} == Peer{});
        CHECK(Peer{} == Peer{""});
    }

    TEST_CASE("copies share what a transport notes in them") {
        const Peer one = "a", copy = one;
        one.route() = {7, 1, 2};
        CHECK(copy.route().transport == 7);
        CHECK(Peer{"a"}.route().transport == 0);
    }

    TEST_CASE("C6: the load of a connection without requests makes no difference") {
        replica::Output out;
        replica::PeerLoad load, fresh;
        load.begin("a", 2, out);
        CHECK(load != fresh);
        load.begin("a", 2, out);
        REQUIRE(out.holds.size() == 1);
        load.end("a", 2, out);
        REQUIRE(out.holds.size() == 2);
        load.end("a", 2, out);
        CHECK(load == fresh);
        CHECK(fresh == load);
        fresh.begin("b", 2, out);
        CHECK(load != fresh);
        load.begin("a", 2, out);
        CHECK(load != fresh);  // as many, but of another connection
        load.disconnected("a");
        CHECK(load != fresh);
        CHECK(fresh != load);
        CHECK(load != replica::PeerLoad{});  // a request of a connection that ended counts
    }

    TEST_CASE("C6: a connection that ended loads nothing and its requests count until they end") {
        replica::Output out;
        replica::PeerLoad load, fresh;
        load.begin("a", 2, out);
        load.begin("a", 2, out);
        REQUIRE(out.holds.size() == 1);
        load.disconnected("a");
        CHECK(load.total() == 2);
        load.end("a", 2, out);
        load.end("a", 2, out);
        CHECK(load.total() == 0);
        CHECK(load == fresh);
        CHECK(out.holds.size() == 1);  // nobody reads from that connection any more
        load.begin("a", 2, out);
        CHECK(out.holds.size() == 1);
    }
}
