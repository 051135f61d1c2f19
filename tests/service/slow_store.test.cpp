// Servers over sockets whose store uses CPU time, each in a thread of its own as in a process: none is declared dead.
#include <doctest/doctest.h>

#include <chrono>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>

#include <tests/support/net.hpp>
#include <understudy/clerk.hpp>
#include <understudy/kv_store.hpp>
#include <understudy/net/any.hpp>
#include <understudy/pb_service.hpp>
#include <understudy/view_service.hpp>

using namespace understudy;
using namespace std::chrono_literals;
using net::AnyTransport;

TEST_SUITE("slow_store") {
    namespace {

    struct BurningKv : KvStore {
        Reply apply(const Command& command) {
            for (const auto end = std::chrono::steady_clock::now() + 10ms; std::chrono::steady_clock::now() < end;) {
            }
            return KvStore::apply(command);
        }
    };

    /// A node with a thread of its own; the thread ends with it.
    template <typename Driver>
    struct Housed {
        template <typename Make>
        explicit Housed(Make make) : node{make(io)} {
            node->async_run(asio::detached);
            thread = std::thread{[this] { io.run(); }};
        }
        ~Housed() { end(); }
        void end() {
            if (!thread.joinable()) return;
            asio::post(io, [this] { node->stop(); });
            thread.join();
        }
        asio::io_context io{1};
        std::optional<Driver> node;
        std::thread thread;
    };

    }  // namespace

    TEST_CASE("S7: a burst of commands that keeps two servers at work for three times D changes no view") {
        test::TemporaryFolder folder;
        const auto listen = [&](asio::io_context& io, const char* name) {
            TransportOptions options;
            options.listen = folder.address(name);
            return AnyTransport{io, options};
        };
        const auto server = [&](const char* name) {
            return [&, name](asio::io_context& io) {
                return PBService<BurningKv, AnyTransport>{BurningKv{}, listen(io, name),
                                                          ReplicaOptions{.view_service = {folder.address("views")}}};
            };
        };
        Housed<ViewService<AnyTransport>> views{[&](asio::io_context& io) {
            return ViewService<AnyTransport>{listen(io, "views"), ViewOptions{.dead_pings = 10}};
        }};
        Housed<PBService<BurningKv, AnyTransport>> a{server("a")}, b{server("b")};
        asio::io_context io{1};
        Clerk clerk{AnyTransport{io}, ClientOptions{.view_service = {folder.address("views")}}};
        int answered = 0, ended = 0;
        const auto put = [&](int n) {
            clerk.async_put("k" + std::to_string(n), "v", [&](std::error_code ec) {
                answered += !ec;
                ++ended;
            });
        };
        const auto synced = [&] {
            bool done = false, yes = false;
            asio::post(views.io, [&] {
                yes = views.node->view().view.synced_count() == 1;
                asio::post(io, [&] { done = true; });
            });
            return test::run_until(io, [&] { return done; }) && yes;
        };
        REQUIRE(test::run_until(io, synced));
        for (int n = 0; n < 300; ++n) put(n);
        REQUIRE(test::run_until(io, [&] { return ended == 300; }));
        CHECK(answered == 300);
        views.end();
        CHECK(views.node->view().view.number == 2);
    }
}
