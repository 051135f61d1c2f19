// Handlers that become due together run in order, in one step of their executor, whatever one of them does.
#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>
#include <asio/strand.hpp>

#include <understudy/async/completion_handler.hpp>

using namespace understudy;
using detail::DueCompletions;

TEST_SUITE("due completions") {
    namespace {

    struct Take {
        int operator()(std::error_code&, int&& result) const { return result; }
    };

    struct Service {
        asio::io_context io;
        std::shared_ptr<DueCompletions<int>> due = std::make_shared<DueCompletions<int>>(io.get_executor());
        std::string order;

        template <typename Handler>
        void add(int result, Handler handler) {
            due->add(due->hold(std::move(handler), Take{}), {}, std::move(result));
        }
        void note(int result, std::function<void()> then = {}) {
            add(result, [this, then](std::error_code, int got) {
                order += std::to_string(got);
                if (then) then();
            });
        }
        void post() { due->post(); }
    };

    }  // namespace

    TEST_CASE("they run in order and in one step that was posted") {
        Service service;
        for (int n : {1, 2, 3}) service.note(n);
        service.post();
        CHECK(service.order.empty());
        service.io.run_one();
        CHECK(service.order == "123");
    }

    TEST_CASE("one that throws does not keep the others from running") {
        Service service;
        service.note(1);
        service.note(2, [] { throw std::runtime_error("two"); });
        for (int n : {3, 4}) service.note(n);
        service.post();
        CHECK_THROWS_WITH(service.io.run(), "two");
        CHECK(service.order == "12");
        service.io.run();
        CHECK(service.order == "1234");
    }

    TEST_CASE("one that runs the executor itself sees the others complete") {
        Service service;
        service.note(1, [&] {
            while (service.order != "1234") REQUIRE(service.io.run_one() == 1);
        });
        for (int n : {2, 3, 4}) service.note(n);
        service.post();
        service.io.run();
        CHECK(service.order == "1234");
    }

    TEST_CASE("one that stops the context keeps the others waiting until that runs again") {
        Service service;
        service.note(1, [&] { service.io.stop(); });
        service.note(2);
        service.post();
        service.io.run();
        CHECK(service.order == "1");
        service.io.restart();
        service.io.run();
        CHECK(service.order == "12");
    }

    TEST_CASE("those that one of them adds run in a later step") {
        Service service;
        service.note(1, [&] {
            service.note(3);
            service.post();
            CHECK(service.order == "1");
        });
        service.note(2);
        service.post();
        service.io.run();
        CHECK(service.order == "123");
    }

    TEST_CASE("a handler with an executor of its own is entered through that") {
        Service service;
        auto strand = asio::make_strand(service.io);
        bool entered = false;
        service.add(
            1, asio::bind_executor(strand, [&](std::error_code, int) { entered = strand.running_in_this_thread(); }));
        service.post();
        service.io.run();
        CHECK(entered);
    }

    TEST_CASE("an executor that ends destroys also a handler that owns what is due") {
        auto owned = std::make_shared<int>(7);
        {
            Service service;
            service.add(1, [owned, due = service.due](std::error_code, int) { FAIL("called"); });
            service.post();
            service.due = nullptr;
        }
        CHECK(owned.use_count() == 1);
    }

    TEST_CASE("an executor that ends with some of them due destroys their handlers uncalled") {
        auto owned = std::make_shared<int>(7);
        {
            Service service;
            for (int n : {1, 2}) service.add(n, [owned](std::error_code, int) { FAIL("called"); });
            service.post();
            CHECK(owned.use_count() == 3);
        }
        CHECK(owned.use_count() == 1);
    }
}
