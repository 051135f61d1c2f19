// What peers must not be able to do to a running group: each faulty message gets an error that names the fault, and a
// clerk beside it goes on undisturbed.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include <tests/support/net.hpp>
#include <understudy/clerk.hpp>
#include <understudy/net/tcp.hpp>
#include <understudy/protocol/call_id.hpp>
#include <understudy/understudy.hpp>
#include <understudy/wire/json.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::view_service;
using namespace understudy::test;

TEST_SUITE("bad_input") {
    namespace {

    /// A view service and one server over TCP, whose events are recorded, and a clerk.
    struct Group {
        Group() {
            REQUIRE(run_until(io, [&] { return server.serving(); }));
            CHECK(put());
        }

        asio::io_context io;
        std::vector<Event> events;
        Observer note = [this](const Event& event) { events.push_back(event); };
        ViewService<net::TcpTransport> views{net::TcpTransport{io, "tcp://127.0.0.1:0"}, {}, note};
        PBService<KvStore, net::TcpTransport> server{KvStore{}, net::TcpTransport{io, "tcp://127.0.0.1:0"},
                                                     ReplicaOptions{.view_service = {views.local()}}, note};
        Clerk<net::TcpTransport> clerk{net::TcpTransport{io}, ClientOptions{.view_service = {views.local()}}};
        bool running = (views.async_run(asio::detached), server.async_run(asio::detached), true);

        bool put() {
            bool done = false;
            clerk.async_put("k", "v", [&](std::error_code ec) { done = !ec; });
            return run_until(io, [&] { return done; });
        }
        /// Sends these bytes to the server as a peer and returns the answer; waits until the answer contains
        /// `expected`.
        std::string answer(const Address& to, std::string_view bytes, std::string_view expected) {
            auto peer = RawPeer::connected_to(to);
            peer.write(bytes);
            std::string got;
            run_until(io, [&] { return (got += peer.read()).find(expected) != std::string::npos; });
            return got;
        }
        template <typename E>
        bool emitted(error code) const {
            for (const auto& event : events)
                if (auto* one = std::get_if<E>(&event); one && one->code == code) return true;
            return false;
        }
    };

    bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

    std::string request(std::string_view method, std::string_view params) {
        return frame(R"({"jsonrpc":"2.0","id":"x","method":")" + std::string{method} + R"(","params":)" +
                     std::string{params} + "}");
    }

    }  // namespace

    TEST_CASE("garbage bytes are answered with an error and the connection is closed") {
        Group group;
        for (const auto& address : {group.views.local(), group.server.local()}) {
            CHECK(has(group.answer(address, std::string_view{"\0\0\0\5hello", 9}, "error"), "-32700"));
            CHECK(run_until(group.io, [&] { return group.emitted<Malformed>(error::parse_error); }));
        }
        CHECK(group.put());
    }

    TEST_CASE("a frame of four gigabytes is refused by its length and costs no memory") {
        Group group;
        auto got = group.answer(group.server.local(), "\xff\xff\xff\xff{", "too_large");
        CHECK(has(got, "4294967295"));
        CHECK(has(got, "16777216"));
        CHECK(run_until(group.io, [&] { return group.emitted<Malformed>(error::too_large); }));
        CHECK(group.put());
    }

    TEST_CASE("a JSON bomb is refused by its depth") {
        Group group;
        const auto bomb =
            frame(R"({"jsonrpc":"2.0","id":1,"method":"pb.execute","params":)" + std::string(100000, '['));
        CHECK(has(group.answer(group.server.local(), bomb, "error"), "-32700"));
        CHECK(group.put());
    }

    TEST_CASE("valid JSON of the wrong shape is answered with what was wrong and where") {
        Group group;
        auto got = group.answer(group.server.local(), frame(R"({"hello":"world"})"), "error");
        CHECK(has(got, "-32600"));
        got = group.answer(group.server.local(), request("pb.execute", R"({"cluster":7})"), "error");
        CHECK(has(got, "-32602"));
        CHECK(has(got, "cluster"));
        got = group.answer(group.server.local(), request("pb.fly", "{}"), "error");
        CHECK(has(got, "-32601"));
        CHECK(has(got, "pb.fly"));
        got = group.answer(group.server.local(), request("view.get", R"({"group":"main","protocol":1})"), "error");
        CHECK(has(got, "-32601"));
        got =
            group.answer(group.server.local(),
                         request("pb.open", R"({"cluster":"0000000000000001","group":"main","protocol":9})"), "error");
        CHECK(has(got, "-32008"));
        CHECK(group.put());
    }

    TEST_CASE("messages of another group or cluster are refused and name both") {
        Group group;
        auto cluster = to_hex(group.views.view().cluster);
        auto got = group.answer(
            group.server.local(),
            request("pb.query", R"({"cluster":"00000000000000aa","group":"main","query":{"op":"get","key":"k"}})"),
            "error");
        CHECK(has(got, "-32003"));
        CHECK(has(got, cluster));
        got = group.answer(
            group.server.local(),
            request("pb.query", R"({"cluster":")" + cluster + R"(","group":"other","query":{"op":"get","key":"k"}})"),
            "error");
        CHECK(has(got, "-32004"));
        CHECK(has(got, "other"));
        got = group.answer(
            group.server.local(),
            request("pb.query", R"({"cluster":")" + cluster + R"(","group":"main","query":{"op":"fly"}})"), "error");
        CHECK(has(got, "-32010"));
        CHECK(group.put());
    }

    TEST_CASE("an answer that nobody asked for is dropped with an event") {
        Group group;
        auto peer = RawPeer::connected_to(group.server.local());
        peer.write(frame(wire::encode(make_call_id(Method::replica_append, 7), AppendResult{1, 99, 1})));
        CHECK(run_until(group.io, [&] { return group.emitted<Refused>(error::invalid_request); }));
        CHECK_FALSE(has(peer.read(), "{"));
        CHECK(group.put());
    }

    TEST_CASE("of two servers with one name the newcomer is refused and the group goes on with who lives") {
        Group group;
        TransportOptions options;
        options.listen = "tcp://127.0.0.1:0";
        options.advertise = group.server.local();
        PBService<KvStore, net::TcpTransport> impostor{KvStore{}, net::TcpTransport{group.io, options},
                                                       ReplicaOptions{.view_service = {group.views.local()}}};
        impostor.async_run(asio::detached);
        const auto shared = [](const Event& event) { return std::holds_alternative<NameShared>(event); };
        CHECK(run_until(group.io, [&] { return std::ranges::any_of(group.events, shared); }));
        CHECK(group.views.view().view.number == 1);
        CHECK(group.put());
    }

    TEST_CASE("a port in use is told with the address at the start") {
        Group group;
        std::string what;
        try {
            net::TcpTransport second{group.io, group.server.local()};
        } catch (const std::system_error& failure) {
            what = failure.what();
        }
        CHECK(has(what, group.server.local()));
        CHECK(has(what, "in use"));
    }

    TEST_CASE("an address that the transport can never dial is refused by constructors") {
        asio::io_context io;
        const auto refusal = [&](const Address& views, bool client) -> std::string {
            try {
                net::TcpTransport transport =
                    client ? net::TcpTransport{io} : net::TcpTransport{io, "tcp://127.0.0.1:0"};
                const std::vector<Address> both{"tcp://127.0.0.1:1", views};
                if (client)
                    Clerk<net::TcpTransport>{std::move(transport), ClientOptions{.view_service = both}};
                else
                    PBService{KvStore{}, std::move(transport), ReplicaOptions{.view_service = both}};
                return {};
            } catch (const std::system_error& failure) {
                CHECK(failure.code() == error::invalid_options);
                return failure.what();
            }
        };
        for (const bool client : {true, false}) {
            CHECK(has(refusal("localhost:7000", client), "\"localhost:7000\" is no address: expected tcp://host:port"));
            CHECK(has(refusal("unix:///views", client), "this transport only knows tcp://host:port"));
            CHECK(refusal("tcp://localhost:7000", client).empty());
        }
    }

    TEST_CASE("a view service that is not there yet is told of and found when it comes") {
        asio::io_context io;
        Address address;
        { address = net::TcpTransport{io, "tcp://127.0.0.1:0"}.local(); }
        std::vector<Event> events;
        PBService<KvStore, net::TcpTransport> server{KvStore{}, net::TcpTransport{io, "tcp://127.0.0.1:0"},
                                                     ReplicaOptions{.view_service = {address}},
                                                     [&](const Event& event) { events.push_back(event); }};
        server.async_run(asio::detached);
        auto silent = [&] {
            return std::ranges::any_of(
                events, [](const Event& event) { return std::holds_alternative<ViewServiceSilent>(event); });
        };
        CHECK(run_until(io, silent));
        ViewService<net::TcpTransport> views{net::TcpTransport{io, address}};
        views.async_run(asio::detached);
        CHECK(run_until(io, [&] { return server.serving(); }));
    }
}
