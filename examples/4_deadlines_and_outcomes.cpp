// Lesson 4: the meaning of a call that does not succeed. "It had no effect" and "the outcome is unknown" are different
// errors. The lesson runs in a simulated world (lesson 6), where a link breaks on command and waiting takes no real
// time.
#include <cstdlib>
#include <iostream>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/detached.hpp>
#include <asio/redirect_error.hpp>

#include <understudy/clerk.hpp>
#include <understudy/sim/world/world.hpp>
#include <understudy/understudy.hpp>

namespace us = understudy;
using us::SimTransport;
using us::sim::World;
using namespace std::chrono_literals;

void show(const char* what, std::error_code ec) { std::cout << what << ": " << (ec ? ec.message() : "done") << '\n'; }

asio::awaitable<void> lesson(World& world, us::Clerk<SimTransport>& clerk, bool& done) {
    // By default an error is thrown as an exception; redirect_error stores it as a code instead.
    std::error_code ec;
    co_await clerk.async_get("nothing", asio::redirect_error(asio::use_awaitable, ec));
    show("get of a missing key", ec);

    co_await clerk.async_put("light", "off");

    // The command arrives, but its answer is lost: after give_up_after the outcome is unknown, although the command did
    // take effect.
    world.links().cut("server", "clerk");
    co_await clerk.async_put("light", "on", asio::redirect_error(asio::use_awaitable, ec));
    show("put without an answer", ec);
    if (ec != us::error::outcome_unknown) std::exit(1);
    world.links().heal_all();
    std::string light = co_await clerk.async_get("light");
    std::cout << "afterwards the light is " << light << '\n';

    // A read changes nothing, so its outcome is never uncertain. This one has a deadline of its own.
    world.links().cut_both("server", "clerk");
    const us::kv::Get query{"light"};
    co_await clerk.client().async_query(query, 200ms, asio::redirect_error(asio::use_awaitable, ec));
    show("get without a network", ec);
    if (ec != us::error::deadline_passed) std::exit(1);
    done = true;
}

int main() {
    World world{1};
    us::ViewService views{world.network().transport("views")};
    us::PBService server{us::KvStore{}, world.network().transport("server"),
                         us::ReplicaOptions{.view_service = {"views"}}};
    us::ClientOptions options{.view_service = {"views"}, .give_up_after = 2s};
    us::Clerk clerk{world.network().client("clerk"), options};
    views.async_run(asio::detached);
    server.async_run(asio::detached);

    bool done = false;
    world.spawn(lesson(world, clerk, done));
    if (!world.run_until([&] { return done; }, 60s)) return 1;

    // Any call can be cancelled. A command that was already sent may still take effect.
    asio::cancellation_signal cancel;
    std::error_code ended;
    clerk.async_get("light",
                    asio::bind_cancellation_slot(cancel.slot(), [&](std::error_code ec, std::string) { ended = ec; }));
    cancel.emit(asio::cancellation_type::terminal);
    world.run_for(1s);
    show("cancelled", ended);
    return ended == asio::error::operation_aborted ? 0 : 1;
}
