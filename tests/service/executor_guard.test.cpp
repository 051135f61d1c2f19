// The path from a journal's thread to its service's executor: it is open as long as the service exists, and no longer.
#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <utility>

#include <asio/io_context.hpp>
#include <asio/post.hpp>

#include <understudy/async/executor_guard.hpp>

using understudy::detail::ExecutorGuard;

TEST_SUITE("executor_guard") {
    namespace {

    /// Posts a handler that holds `token`; returns whether the handler is kept to be run.
    bool comes_through(ExecutorGuard& gate, const std::shared_ptr<int>& token) {
        const auto before = token.use_count();
        gate.post([token] { ++*token; });
        return token.use_count() > before;
    }

    /// A handler in a context's queue that posts through the guard when the queue is destroyed.
    struct Latecomer {
        Latecomer(std::shared_ptr<ExecutorGuard> through, std::optional<bool>& result)
            : gate{std::move(through)}, came_through{&result} {}
        Latecomer(Latecomer&& other) noexcept : gate{std::move(other.gate)}, came_through{other.came_through} {}
        ~Latecomer() {
            if (gate) *came_through = comes_through(*gate, std::make_shared<int>());
        }
        void operator()() {}
        std::shared_ptr<ExecutorGuard> gate;
        std::optional<bool>* came_through;
    };

    }  // namespace

    TEST_CASE("what is posted runs on the executor until the gate is shut") {
        asio::io_context io;
        const auto gate = ExecutorGuard::open(io.get_executor());
        const auto token = std::make_shared<int>(0);
        CHECK(comes_through(*gate, token));
        io.run();
        CHECK(*token == 1);
        gate->shut();
        CHECK(!comes_through(*gate, token));
    }

    TEST_CASE("a context that is destroyed shuts its gates before it takes its queue apart") {
        std::optional<asio::io_context> io{std::in_place};
        std::optional<bool> came_through;
        auto gate = ExecutorGuard::open(io->get_executor());
        const auto other = ExecutorGuard::open(io->get_executor());
        asio::post(*io, Latecomer{gate, came_through});
        io.reset();
        CHECK(came_through == false);
        CHECK(!comes_through(*other, std::make_shared<int>()));
    }

    TEST_CASE("gates that nobody has any more are forgotten") {
        asio::io_context io;
        for (int n = 0; n < 1'000; ++n)
            CHECK(comes_through(*ExecutorGuard::open(io.get_executor()), std::make_shared<int>()));
        CHECK(io.run() == 1'000);
    }
}
