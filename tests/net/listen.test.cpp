// Listening: which addresses can be used, which are refused, and what is left behind.
#include <doctest/doctest.h>

#include <dirent.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <thread>

#include <tests/support/net.hpp>
#include <understudy/net/listen.hpp>
#include <understudy/net/unix_path.hpp>

using namespace understudy;
using namespace understudy::test;
using net::AnyTransport;

TEST_SUITE("listen") {
    namespace {

    // The text that the constructor throws; empty if it does not throw.
    std::string failure(TransportOptions options, std::error_code* code = nullptr) {
        asio::io_context io;
        try {
            const AnyTransport transport{io, std::move(options)};
        } catch (const std::system_error& thrown) {
            if (code) *code = thrown.code();
            return thrown.what();
        }
        return {};
    }

    std::string failure_to_listen(const Address& listen, std::error_code* code = nullptr) {
        TransportOptions options;
        options.listen = listen;
        return failure(std::move(options), code);
    }

    // Leaves a socket file behind, as a killed process does.
    void leave_stale_socket(const std::string& path) {
        const net::Descriptor socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        const auto address = net::unix_socket_address(path);
        REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    }

    bool works(asio::io_context& io, const Address& address) {
        Endpoint<> server{io, address};
        Endpoint<> client{io};
        client.transport.send(server.local(), message("x"));
        return run_until(io, [&] { return server->count<Delivered>() == 1; });
    }

    }  // namespace

    TEST_CASE("a port in use is refused by name and cause") {
        asio::io_context io;
        Address listen;
        SUBCASE("IPv4") { listen = "tcp://127.0.0.1:0"; }
        SUBCASE("IPv6") { listen = "tcp://[::1]:0"; }
        SUBCASE("host name") { listen = "tcp://" + host_name() + ":0"; }
        const AnyTransport holder{io, listen};
        std::error_code code;
        CHECK(failure_to_listen(holder.local(), &code) == "listen on " + holder.local() + ": Address already in use");
        CHECK(code == std::errc::address_in_use);
    }

    TEST_CASE("a port that was just given up can be had again") {
        asio::io_context io;
        Address address;
        {
            Endpoint<> server{io, "tcp://127.0.0.1:0"};
            server->answers = true;
            address = server.local();
            Endpoint<> client{io};
            client.transport.send(address, message("x"));
            REQUIRE(run_until(io, [&] { return client->count<Delivered>() == 1; }));
            server.transport.close();  // it closes first: its end of the connection stays in TIME_WAIT
            REQUIRE(run_until(io, [&] { return client->count<Disconnected>() == 1; }));
        }
        CHECK(failure_to_listen(address).empty());
    }

    TEST_CASE("a name of several addresses is in use if one of them is taken though another is free") {
        net::detail::TcpEndpoints endpoints;
        for (const auto* host : {"127.0.0.1", "127.0.0.2"}) endpoints.push_back({asio::ip::make_address(host), 0});
        net::Target target{.scheme = net::Schemes::tcp, .host = "two.example", .port = 0, .path = {}};
        SUBCASE("the first") {}
        SUBCASE("the last") { std::ranges::reverse(endpoints); }
        auto holder = net::detail::listen_at_each({endpoints.front()}, target);
        target.port = holder.target.port;
        for (auto& endpoint : endpoints) endpoint.port(target.port);
        std::ranges::sort(endpoints);
        std::error_code code;
        try {
            net::detail::listen_at_each(endpoints, target);
        } catch (const std::system_error& thrown) {
            code = thrown.code();
            CHECK(std::string{thrown.what()}.starts_with("listen on tcp://two.example:"));
        }
        CHECK(code == std::errc::address_in_use);
        holder.sockets.clear();
        endpoints.push_back({asio::ip::make_address("192.0.2.1"), target.port});  // of another computer
        CHECK(net::detail::listen_at_each(endpoints, target).sockets.size() == 2);
    }

    TEST_CASE("options that make no sense are refused with a sentence") {
        std::error_code code;
        TransportOptions options;
        SUBCASE("limits") {
            options.max_frame = 1;
            CHECK(failure(options, &code).starts_with("max_frame is below 1024 bytes"));
        }
        SUBCASE("a wildcard without an address to advertise") {
            options.listen = "tcp://0.0.0.0:0";
            CHECK(failure(options, &code).find("advertise an address") != std::string::npos);
        }
        SUBCASE("a wildcard advertised") {
            options.listen = "tcp://127.0.0.1:0";
            options.advertise = "tcp://[::]:1";
            CHECK(failure(options, &code).find("advertise an address") != std::string::npos);
        }
        SUBCASE("advertise without listen") {
            options.advertise = "tcp://127.0.0.1:1";
            CHECK(failure(options, &code).starts_with("advertise without listen"));
        }
        SUBCASE("no address at all") {
            options.listen = "localhost:80";
            CHECK(failure(options, &code).starts_with("\"localhost:80\" is no address"));
        }
        SUBCASE("a path that is too long") {
            options.listen = "unix:///tmp/" + std::string(200, 'x');
            CHECK(failure(options, &code).find("the system allows") != std::string::npos);
        }
        CHECK(code == error::invalid_options);
    }

    TEST_CASE("an address of another machine is refused by name and cause") {
        CHECK(failure_to_listen("tcp://192.0.2.1:1") == "listen on tcp://192.0.2.1:1: Cannot assign requested address");
        CHECK(
            failure_to_listen("tcp://no.such.host.invalid:1").starts_with("listen on tcp://no.such.host.invalid:1: "));
    }

    TEST_CASE("a folder that does not exist is refused by name and cause") {
        CHECK(failure_to_listen("unix:///no/such/a") == "listen on unix:///no/such/a: No such file or directory");
    }

    TEST_CASE("a stale socket file is replaced") {
        TemporaryFolder folder;
        leave_stale_socket(folder.file("a"));
        asio::io_context io;
        CHECK(works(io, folder.address("a")));
    }

    TEST_CASE("the lock file of a dead process does not stand in the way") {
        TemporaryFolder folder;
        leave_stale_socket(folder.file("a"));
        std::ofstream{folder.file("a.lock")};
        asio::io_context io;
        CHECK(works(io, folder.address("a")));
    }

    TEST_CASE("a unix socket of a live listener is in use") {
        TemporaryFolder folder;
        asio::io_context io;
        const AnyTransport holder{io, folder.address("a")};
        const auto said = "listen on " + folder.address("a") + ": Address already in use";
        std::error_code code;
        CHECK(failure_to_listen(folder.address("a"), &code) == said);
        CHECK(code == std::errc::address_in_use);
        // The address is in use even while its socket file is missing: the lock shows it.
        std::filesystem::remove(folder.file("a"));
        CHECK(failure_to_listen(folder.address("a")) == said);
    }

    TEST_CASE("a live listener that takes no lock is not pushed aside") {
        TemporaryFolder folder;
        const net::Descriptor socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        const auto address = net::unix_socket_address(folder.file("a"));
        REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
        REQUIRE(::listen(socket.get(), 1) == 0);
        CHECK(failure_to_listen(folder.address("a")).ends_with("Address already in use"));
        CHECK(std::filesystem::exists(folder.file("a")));
    }

    TEST_CASE("a file that is not a socket is left alone") {
        TemporaryFolder folder;
        std::ofstream{folder.file("a")} << "precious";
        CHECK(failure_to_listen(folder.address("a")) ==
              "listen on " + folder.address("a") + ": what stands there is not a socket: File exists");
        CHECK(std::filesystem::file_size(folder.file("a")) == 8);
    }

    TEST_CASE("closing removes the socket file and the lock file") {
        TemporaryFolder folder;
        asio::io_context io;
        {
            AnyTransport transport{io, folder.address("a")};
            CHECK(std::filesystem::exists(folder.file("a")));
            CHECK(std::filesystem::exists(folder.file("a.lock")));
            transport.close();
            CHECK(std::filesystem::is_empty(folder.file("")));
        }
        CHECK(works(io, folder.address("a")));
    }

    TEST_CASE("closing leaves a socket file that somebody else has put there") {
        TemporaryFolder folder;
        asio::io_context io;
        AnyTransport transport{io, folder.address("a")};
        std::filesystem::remove(folder.file("a"));
        leave_stale_socket(folder.file("a"));
        transport.close();
        CHECK(std::filesystem::exists(folder.file("a")));
    }

    TEST_CASE("of many that claim one path over and over no two have it at once") {
        TemporaryFolder folder;
        std::atomic<int> holders = 0;
        std::atomic<int> clashes = 0;
        const auto claim_often = [&] {
            for (int claimed = 0; claimed < 300;) {
                net::UnixPath path;
                if (path.claim(folder.file("a"))) {
                    std::this_thread::yield();
                    continue;
                }
                clashes += holders++ != 0;
                ++claimed;
                for (int i = 0; i < 5; ++i) {  // long enough to overlap with another claimant
                    net::UnixPath second;
                    clashes += !second.claim(folder.file("a"));
                }
                --holders;
            }
        };
        std::vector<std::thread> claimants;
        for (int i = 0; i < 3; ++i) claimants.emplace_back(claim_often);
        for (auto& claimant : claimants) claimant.join();
        CHECK(clashes == 0);
        CHECK(std::filesystem::is_empty(folder.file("")));
    }

    TEST_CASE("every socket is closed on exec and so is the lock") {
        TemporaryFolder folder;
        asio::io_context io;
        const auto descriptors = [] {
            std::vector<int> open;
            for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"})
                open.push_back(std::stoi(entry.path().filename()));
            std::erase_if(open, [](int one) { return ::fcntl(one, F_GETFD) < 0; });
            return open;
        };
        const auto before = descriptors();
        Endpoint<> tcp{io, "tcp://127.0.0.1:0"};
        Endpoint<> local{io, folder.address("a")};
        Endpoint<> client{io};
        client.transport.send(tcp.local(), message("x"));
        client.transport.send(local.local(), message("x"));
        REQUIRE(run_until(io, [&] { return tcp->count<Delivered>() == 1 && local->count<Delivered>() == 1; }));
        std::size_t fresh = 0;
        for (const int one : descriptors()) {
            if (std::ranges::find(before, one) != before.end()) continue;
            ++fresh;
            CHECK((::fcntl(one, F_GETFD) & FD_CLOEXEC) != 0);
        }
        CHECK(fresh >= 7);  // two listeners, a lock, two connections with two ends each
    }

}  // TEST_SUITE
