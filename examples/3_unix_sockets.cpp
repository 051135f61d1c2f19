// Lesson 3: the same services over unix sockets. A transport is an argument: UnixTransport supports `unix:///path`,
// TcpTransport `tcp://host:port`, and AnyTransport both, so the nodes of a group may use either kind.
#include <stdlib.h>

#include <filesystem>
#include <iostream>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include <understudy/clerk.hpp>
#include <understudy/net/any.hpp>
#include <understudy/understudy.hpp>

namespace us = understudy;
using us::net::AnyTransport;

/// A folder that only this user may enter, which protects the sockets in it; removed at the end.
struct Folder {
    std::string path = (std::filesystem::temp_directory_path() / "understudy-XXXXXX").string();
    Folder() {
        if (!mkdtemp(path.data()))
            throw std::filesystem::filesystem_error{path, std::error_code{errno, std::generic_category()}};
    }
    ~Folder() { std::filesystem::remove_all(path); }
};

asio::awaitable<void> lesson(us::Clerk<AnyTransport>& clerk) {
    co_await clerk.async_put("greeting", "hello over a socket file");
    std::string greeting = co_await clerk.async_get("greeting");
    std::cout << greeting << "\nprimary: " << clerk.view().view.primary.name << '\n';
}

int main() {
    Folder folder;
    const auto here = [&](const char* name) { return us::Address{"unix://" + folder.path + "/" + name}; };

    asio::io_context io;
    // A socket file left behind by a dead process is replaced; if a process still listens, the address is refused
    // (address in use).
    us::ViewService views{AnyTransport{io, here("views")}};
    us::ReplicaOptions options{.view_service = {views.local()}};
    us::PBService one{us::KvStore{}, AnyTransport{io, here("one")}, options};
    us::PBService two{us::KvStore{}, AnyTransport{io, "tcp://127.0.0.1:0"}, options};  // a group may mix both kinds
    us::Clerk clerk{AnyTransport{io}, us::ClientOptions{.view_service = {views.local()}}};

    views.async_run(asio::detached);
    one.async_run(asio::detached);
    two.async_run(asio::detached);
    asio::co_spawn(io, lesson(clerk), [&](std::exception_ptr failure) {
        io.stop();
        if (failure) std::rethrow_exception(failure);
    });
    io.run();
}
