// The least that shows that a host compiles, links and runs: a view service over TCP that starts and stops.
#include <iostream>
#include <system_error>

#include <asio/io_context.hpp>
#include <asio/post.hpp>

#include <understudy/net/tcp.hpp>
#include <understudy/view_service.hpp>

namespace us = understudy;

int main() {
    asio::io_context context;
    us::ViewService views{us::net::TcpTransport{context.get_executor(), "tcp://127.0.0.1:0"}};
    bool stopped = false;
    views.async_run([&](std::error_code ec) { stopped = !ec; });
    asio::post(context, [&] { views.stop(); });
    context.run();
    std::cout << "a view service listened on " << views.local() << " and " << (stopped ? "stopped\n" : "failed\n");
    return stopped ? 0 : 1;
}
