// The smallest program that shows that a host finds the library and its packages, compiles, links and runs: it sends a
// JSON text from one transport to another over TCP.
#include <exception>
#include <iostream>
#include <string>
#include <string_view>
#include <variant>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <nlohmann/json.hpp>

#include <understudy/net/tcp.hpp>
#include <understudy/version.hpp>

namespace us = understudy;
using us::net::TcpTransport;

int main() {
    asio::io_context context;
    TcpTransport server{context.get_executor(), "tcp://127.0.0.1:0"};
    TcpTransport client{context.get_executor()};
    client.send(server.local(), nlohmann::json{{"colour", "blue"}}.dump());

    std::string colour;
    const auto receive = [&]() -> asio::awaitable<void> {
        while (colour.empty()) {
            const auto arrivals = co_await server.next(us::never);
            for (const auto& arrival : arrivals)
                if (const auto* message = std::get_if<us::Delivered>(&arrival))
                    colour = nlohmann::json::parse(std::string_view{message->payload}).at("colour");
        }
    };
    asio::co_spawn(context, receive, [&](std::exception_ptr failure) {
        client.close();
        server.close();
        if (failure) std::rethrow_exception(failure);
    });
    context.run();
    std::cout << "understudy " << UNDERSTUDY_VERSION_STRING << ": the colour is " << colour << '\n';
    return colour == "blue" ? 0 : 1;
}
