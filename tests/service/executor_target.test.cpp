// What an executor with its type erased holds.
#include <doctest/doctest.h>
#include <asio/io_context.hpp>
#include <asio/strand.hpp>

#include <understudy/async/executor_target.hpp>

using understudy::detail::target_of;

TEST_SUITE("executor_target") {
    TEST_CASE("an executor is found by its own type alone") {
        using Io = asio::io_context::executor_type;
        asio::io_context io;
        const asio::any_io_executor plain = io.get_executor(), strand = asio::make_strand(io), none;
        CHECK(target_of<Io>(plain));
        CHECK_FALSE(target_of<asio::strand<Io>>(plain));
        CHECK(target_of<asio::strand<Io>>(strand));
        CHECK_FALSE(target_of<Io>(strand));
        CHECK_FALSE(target_of<Io>(none));
    }
}
