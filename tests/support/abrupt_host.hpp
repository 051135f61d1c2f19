// A host that ends in the middle of its work: its services keep their state in directories and are destroyed without a
// shutdown.
#pragma once

#include <string>
#include <system_error>

#include <asio/io_context.hpp>

#include <tests/support/net.hpp>
#include <tests/support/service_world.hpp>
#include <understudy/journal/file_journal.hpp>
#include <understudy/journal/view_file.hpp>
#include <understudy/kv_store.hpp>
#include <understudy/net/any.hpp>
#include <understudy/pb_service.hpp>
#include <understudy/view_service.hpp>

namespace understudy::test {

/// Runs a view service and a server until the server leads, submits many commands, runs `steps` more steps of the loop,
/// then destroys the services and right after them their execution context. The directories are `views` and `server`.
inline void end_abruptly(const TemporaryFolder& folder, int steps) {
    asio::io_context io{1};
    const auto listen = [&](const std::string& name) {
        TransportOptions options;
        options.listen = folder.address(name);
        return net::AnyTransport{io, options};
    };
    const auto ignore = [](std::error_code) {};
    ViewService views{listen("v"), journal::FileViewStore{folder.file("views")}, ViewOptions{.ping_interval = 20ms}};
    PBService server{KvStore{}, listen("s"), journal::FileJournal{folder.file("server")},
                     ReplicaOptions{.view_service = {folder.address("v")}}};
    views.async_run(ignore);
    server.async_run(ignore);
    REQUIRE(run_until(io, [&] { return server.serving(); }));
    for (int n = 0; n < 100; ++n)
        server.async_execute(kv::Put{std::to_string(n), std::string(1000, 'x')}, [](std::error_code, kv::Reply) {});
    for (int step = 0; step < steps; ++step) io.poll_one();
}

}  // namespace understudy::test
