// The requirements of the concept Transport, checked over real sockets; they are the same as for the simulated network.
#include <doctest/doctest.h>

#include <functional>
#include <utility>

#include <tests/support/net.hpp>
#include <tests/support/transport_laws.hpp>
#include <understudy/net/tcp.hpp>
#include <understudy/net/unix.hpp>

TEST_SUITE("laws") {
    namespace {

    using namespace understudy;
    using namespace understudy::laws;

    template <typename T>
    struct SocketLaws {
        using Transport = T;
        asio::io_context io;
        test::TemporaryFolder folder;
        int named = 0;

        // An address at which no process listens.
        Address nobody() {
            if constexpr (std::same_as<T, net::UnixTransport>)
                return folder.address(std::to_string(++named));
            else
                return Address{net::TcpTransport{io, "tcp://127.0.0.1:0"}.local()};
        }
        Transport server(Address address) {
            return Transport{io,
                             TransportOptions{.listen = std::move(address), .advertise = {}, .max_frame = 1u << 20}};
        }
        Transport server() { return server(nobody()); }
        Transport client() {
            return Transport{io, TransportOptions{.listen = {}, .advertise = {}, .max_frame = 1u << 20}};
        }
        asio::any_io_executor executor() { return io.get_executor(); }
        void spawn(asio::awaitable<void> coroutine) { asio::co_spawn(io, std::move(coroutine), asio::detached); }
        bool run_until(const std::function<bool()>& holds) { return test::run_until(io, holds); }
    };
    using Tcp = SocketLaws<net::TcpTransport>;
    using Unix = SocketLaws<net::UnixTransport>;

    template <typename World>
    void cuts_off_too_large(World& world) {
        a_peer_that_breaks_the_framing_is_cut_off(world, "{" + std::string(1u << 20, ' ') + "}", error::too_large);
    }
    template <typename World>
    void cuts_off_no_json(World& world) {
        a_peer_that_breaks_the_framing_is_cut_off(world, "GET / HTTP/1.1", error::parse_error);
    }

    template <typename World, typename Law>
    void keep(Law law) {
        World world;
        law(world);
    }

    }  // namespace

    TEST_CASE_TEMPLATE("sockets keep the laws of a transport", World, Tcp, Unix) {
        SUBCASE("payloads travel both ways") { keep<World>(carries_payloads_both_ways<World>); }
        SUBCASE("a connection keeps its order") { keep<World>(keeps_the_order_of_a_connection<World>); }
        SUBCASE("next ends at its deadline") { keep<World>(next_ends_with_nothing_at_its_deadline<World>); }
        SUBCASE("wake ends next before and during it") { keep<World>(wake_ends_next_before_and_during_it<World>); }
        SUBCASE("cancellation loses nothing") { keep<World>(cancellation_ends_next_and_loses_nothing<World>); }
        SUBCASE("close ends next for good") { keep<World>(close_ends_next_for_good<World>); }
        SUBCASE("a destroyed handle ends next") { keep<World>(a_destroyed_handle_ends_its_pending_next<World>); }
        SUBCASE("a peer that closes is gone") { keep<World>(a_peer_that_closes_is_gone<World>); }
        SUBCASE("a refused dial is made again") { keep<World>(a_refused_dial_is_gone_and_is_made_again_later<World>); }
        SUBCASE("a probe tells who listens") { keep<World>(probe_tells_whether_anybody_listens<World>); }
        SUBCASE("a paused peer is read after resume") { keep<World>(a_paused_peer_is_read_after_resume<World>); }
        SUBCASE("much from one") { keep<World>(one_that_sends_much_keeps_nobody_waiting<World>); }
        SUBCASE("gone between turns") { keep<World>(a_peer_that_goes_between_two_turns_is_gone<World>); }
        SUBCASE("a wake beside a cancellation") { keep<World>(a_wake_beside_a_cancellation_is_kept<World>); }
        SUBCASE("a frame over the limit is refused") { keep<World>(cuts_off_too_large<World>); }
        SUBCASE("a payload that is no JSON is refused") { keep<World>(cuts_off_no_json<World>); }
        SUBCASE("a moved handle goes on") { keep<World>(a_moved_handle_goes_on<World>); }
    }

}  // TEST_SUITE
