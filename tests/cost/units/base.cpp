// The base that other units are compared with: the two libraries that a host has in any case, one coroutine and one
// parse.
#include <asio.hpp>
#include <nlohmann/json.hpp>

asio::awaitable<void> echo(asio::ip::tcp::socket socket) {
    char data[1024];
    for (;;) {
        const auto length = co_await socket.async_read_some(asio::buffer(data), asio::use_awaitable);
        co_await asio::async_write(socket, asio::buffer(data, length), asio::use_awaitable);
    }
}

int main() {
    asio::io_context io;
    asio::co_spawn(io, echo(asio::ip::tcp::socket{io}), asio::detached);
    return nlohmann::json::parse("[1]").empty();
}
