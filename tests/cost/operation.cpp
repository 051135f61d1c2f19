// The cost of operations: a fixed script over the simulated network, through codec, driver and state machines. The
// figures depend on the code and the compiler and not on the load of the computer. tests/cost/check.py runs it with
// different counts, also under callgrind, and compares the cost of one more operation with the recorded cost.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include <asio/detached.hpp>
#include <valgrind/callgrind.h>

#include <understudy/clerk.hpp>
#include <understudy/sim/world/world.hpp>
#include <understudy/understudy.hpp>

#include "cost.hpp"

namespace us = understudy;
using us::SimTransport;
using namespace std::chrono_literals;

namespace {

enum class Operation { put, get };

/// A group of two and a clerk that keeps `in_flight` calls in flight.
class Script {
public:
    explicit Script(std::size_t in_flight) : in_flight_{in_flight} {
        views_.async_run(asio::detached);
        for (auto* server : {&one_, &two_}) server->async_run(asio::detached);
        world_.run_until([&] { return views_.view().view.synced_count() == 1; }, 60s);
    }

    void run(Operation operation, std::size_t count) {
        operation_ = operation;
        left_ = count;
        under_way_ = in_flight_;
        for (std::size_t n = 0; n < in_flight_; ++n) next(n);
        world_.run_until([&] { return under_way_ == 0; }, 3600s);
    }

private:
    void next(std::size_t n) {
        if (left_ == 0) return void(--under_way_);
        --left_;
        auto key = "key" + std::to_string(1000 + n);
        if (operation_ == Operation::put)
            clerk_.async_put(std::move(key), std::string(100, 'v'), [this, n](std::error_code ec) { done(ec, n); });
        else
            clerk_.async_get(std::move(key), [this, n](std::error_code ec, const std::string&) { done(ec, n); });
    }
    void done(std::error_code ec, std::size_t n) {
        if (ec) std::abort();
        next((n + 7) % 1000);
    }

    us::sim::World world_{1};
    us::ViewService<SimTransport> views_{world_.network().transport("views")};
    us::ReplicaOptions options_{.view_service = {"views"}, .log_bytes = 1u << 20};
    us::PBService<us::KvStore, SimTransport> one_{us::KvStore{}, world_.network().transport("one"), options_};
    us::PBService<us::KvStore, SimTransport> two_{us::KvStore{}, world_.network().transport("two"), options_};
    us::Clerk<SimTransport> clerk_{world_.network().client("clerk"), us::ClientOptions{.view_service = {"views"}}};
    std::size_t in_flight_;
    Operation operation_ = Operation::put;
    std::size_t left_ = 0, under_way_ = 0;
};

}  // namespace

int run_operation(int argc, char** argv) {
    if (argc != 5) return std::fprintf(stderr, "cost operation put|get IN_FLIGHT COUNT\n"), 2;
    const auto operation = std::string{argv[2]} == "get" ? Operation::get : Operation::put;
    Script script{std::strtoul(argv[3], nullptr, 10)};
    const auto count = std::strtoul(argv[4], nullptr, 10);
    script.run(Operation::put, 10'000);  // until buffers and the log have reached their final size
    // does nothing without callgrind; the warm-up before it is not counted, which is faster
    CALLGRIND_START_INSTRUMENTATION;
    script.run(operation, count);
    std::printf("%zu\n", all_allocations);
    return 0;
}
