// What a host may do with a client: every kind of token, cancellation, stop, destruction, and invalid options.
#include <future>

#include <doctest/doctest.h>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_future.hpp>
#include <nlohmann/json.hpp>

#include <tests/support/transport_archetype.hpp>
#include <understudy/client.hpp>
#include <understudy/protocol/call_id.hpp>
#include <understudy/wire/json.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::view_service;
using namespace std::chrono_literals;
using test::ArchetypeTransport;
using test::MemoryNetwork;

TEST_SUITE("client") {
    namespace {

    // What a client knows of a counter, with nlohmann's JSON. It needs no store.
    struct CounterApi {
        using Command = int;
        using Query = std::string;
        using Reply = int;
    };
    static_assert(StoreApi<CounterApi> && !Store<CounterApi>);
    using CounterClient = Client<CounterApi, ArchetypeTransport>;

    ClientOptions client_options() {
        ClientOptions options;
        options.view_service = {"server"};
        return options;
    }

    // One node that plays the view service and the primary: it answers each `pb.execute` and `pb.query` only when a
    // test calls `answer`.
    struct Server {
        asio::io_context io;
        MemoryNetwork network{io};
        ArchetypeTransport transport{network, "server"};
        std::vector<std::pair<Address, wire::Decoded>> waiting;
        std::optional<CounterClient> client{std::in_place, ArchetypeTransport{network}, client_options()};

        void send(const Address& to, const CallId& id, Message message) {
            transport.send(to, wire::encode(id, message));
        }
        // Takes the messages received so far and answers those that are neither commands nor queries.
        void serve() {
            for (network.settle(); !network.find("server")->arrived.empty(); network.settle())
                for (auto& arrival : network.find("server")->take())
                    if (auto* request = std::get_if<Delivered>(&arrival))
                        take(request->from, std::get<wire::Decoded>(wire::decode(request->payload)));
        }
        void take(const Address& from, wire::Decoded request) {
            if (std::holds_alternative<ViewWatch>(request.message) ||
                std::holds_alternative<ViewGet>(request.message)) {
                ViewResult result;
                result.info = {"main", ClusterId{1}, 100ms, {}};
                result.info.view.number = 1;
                result.info.view.primary = {"server", Incarnation{1}, false};
                send(from, request.id, result);
            } else if (std::holds_alternative<Open>(request.message)) {
                send(from, request.id, OpenResult{{1, 1}});
            } else {
                waiting.emplace_back(from, std::move(request));
            }
        }
        // Answers the oldest request.
        void answer(std::string value) {
            auto [to, request] = std::move(waiting.front());
            waiting.erase(waiting.begin());
            if (std::holds_alternative<Execute>(request.message))
                send(to, request.id, ExecuteResult{{1, 2}, std::move(value)});
            else
                send(to, request.id, QueryResult{{1, 2}, std::move(value)});
            serve();
        }
    };

    // Stores how a call completed.
    struct Outcome {
        std::optional<std::error_code> ec;
        int value = 0;
        auto keep() {
            return [this](std::error_code code, int result) { ec = code, value = result; };
        }
    };

    asio::awaitable<void> await_one(CounterClient& client, int& value) {
        value = co_await client.async_execute(3);
        Result<int> read = co_await client.async_query("total", with_position);
        value += read.value * 10 + static_cast<int>(read.at.index) * 1000;
    }

    asio::awaitable<void> await_redirected(CounterClient& client, std::error_code& ec, int& value) {
        value = co_await client.async_execute(3, 50ms, asio::redirect_error(asio::use_awaitable, ec));
    }

    asio::awaitable<void> await_owning(std::shared_ptr<CounterClient> client, bool& resumed) {
        co_await client->async_execute(3);
        resumed = true;
    }

    }  // namespace

    TEST_CASE("a call never completes from within the function that starts it nor before its answer") {
        Server server;
        Outcome outcome;
        server.client->async_execute(3, outcome.keep());
        CHECK(!outcome.ec);
        server.serve();
        CHECK(!outcome.ec);
        REQUIRE(server.waiting.size() == 1);
        CHECK(std::get<Execute>(server.waiting[0].second.message).command == "3");
        server.answer("7");
        REQUIRE(outcome.ec);
        CHECK(!*outcome.ec);
        CHECK(outcome.value == 7);
    }

    TEST_CASE("calls may be awaited") {
        Server server;
        int value = 0;
        asio::co_spawn(server.io, await_one(*server.client, value), asio::detached);
        server.serve();
        server.answer("7");
        CHECK(value == 7);
        server.answer("8");
        CHECK(value == 7 + 80 + 2000);
    }

    TEST_CASE("a passed deadline says whether the call can have had an effect") {
        Server server;
        std::error_code ec;
        int value = 0;
        asio::co_spawn(server.io, await_redirected(*server.client, ec, value), asio::detached);
        server.serve();
        server.network.advance(100ms);
        CHECK(ec == error::outcome_unknown);
        Outcome read;
        server.client->async_query("total", 50ms, read.keep());
        server.network.advance(100ms);
        REQUIRE(read.ec);
        CHECK(*read.ec == error::deadline_passed);
    }

    TEST_CASE("the observer is told why a call failed before the call completes") {
        Server server;
        std::vector<std::string> emitted;
        server.client.emplace(ArchetypeTransport{server.network}, client_options(),
                              [&](const Event& event) { emitted.push_back(std::get<CallFailed>(event).why); });
        std::size_t told_before = 0;
        std::error_code ended;
        server.client->async_query("total", 50ms, [&](std::error_code ec, int) {
            ended = ec;
            told_before = emitted.size();
        });
        server.serve();
        server.network.advance(100ms);
        CHECK(ended == error::deadline_passed);
        REQUIRE(told_before == 1);
        CHECK(emitted[0].find("server") != std::string::npos);
    }

    TEST_CASE("calls may be futures") {
        Server server;
        auto future = server.client->async_execute(3, asio::use_future);
        auto failing = server.client->async_execute(4, 50ms, asio::use_future);
        server.serve();
        server.answer("7");
        REQUIRE(future.wait_for(0s) == std::future_status::ready);
        CHECK(future.get() == 7);
        server.network.advance(100ms);
        REQUIRE(failing.wait_for(0s) == std::future_status::ready);
        CHECK_THROWS_AS(failing.get(), std::system_error);
    }

    TEST_CASE("calls may be detached") {
        Server server;
        server.client->async_execute(3, asio::detached);
        server.serve();
        CHECK(server.waiting.size() == 1);
        server.answer("1");
    }

    TEST_CASE("a handler runs on its own executor and keeps that busy until then") {
        Server server;
        asio::io_context other;
        Outcome outcome;
        server.client->async_execute(3, asio::bind_executor(other, outcome.keep()));
        server.serve();
        other.poll();
        CHECK(!other.stopped());  // outstanding work keeps it from stopping
        server.answer("7");
        CHECK(!outcome.ec);
        other.restart();
        other.poll();
        CHECK(outcome.value == 7);
        CHECK(other.stopped());
    }

    TEST_CASE("terminal cancellation ends one call and no other") {
        Server server;
        asio::cancellation_signal signal;
        Outcome cancelled, other;
        server.client->async_execute(3, asio::bind_cancellation_slot(signal.slot(), cancelled.keep()));
        server.client->async_execute(4, other.keep());
        server.serve();
        signal.emit(asio::cancellation_type::total);
        server.serve();
        CHECK(!cancelled.ec);  // only terminal cancellation ends a command, because its outcome stays unknown
        signal.emit(asio::cancellation_type::terminal);
        CHECK(!cancelled.ec);
        server.serve();
        REQUIRE(cancelled.ec);
        CHECK(*cancelled.ec == asio::error::operation_aborted);
        server.answer("7");  // for the cancelled call
        CHECK(!other.ec);
        server.answer("11");
        CHECK(other.value == 11);
        signal.emit(asio::cancellation_type::terminal);  // too late to have an effect
        server.client.reset();
        signal.emit(asio::cancellation_type::terminal);
    }

    TEST_CASE("partial and total cancellation end what reads and no command") {
        for (const auto type : {asio::cancellation_type::partial, asio::cancellation_type::total}) {
            Server server;
            asio::cancellation_signal of_command, of_query, of_dump;
            Outcome command, query;
            std::optional<std::error_code> dumped;
            server.client->async_execute(3, asio::bind_cancellation_slot(of_command.slot(), command.keep()));
            server.client->async_query("total", asio::bind_cancellation_slot(of_query.slot(), query.keep()));
            server.client->async_dump([](std::string_view) {},
                                      asio::bind_cancellation_slot(of_dump.slot(), [&](std::error_code ec, Position) {
                                          dumped = ec;
                                      }));
            server.serve();
            for (auto* signal : {&of_command, &of_query, &of_dump}) signal->emit(type);
            server.serve();
            CHECK(!command.ec);
            CHECK(query.ec == asio::error::operation_aborted);
            CHECK(dumped == asio::error::operation_aborted);
            while (!server.waiting.empty()) server.answer("7");  // the cancelled ones too
            CHECK(command.value == 7);
        }
    }

    TEST_CASE("stop ends calls with operation_aborted and later ones with closed") {
        Server server;
        Outcome before, after;
        server.client->async_execute(3, before.keep());
        server.serve();
        server.client->stop();
        CHECK(!before.ec);
        server.serve();
        REQUIRE(before.ec);
        CHECK(*before.ec == asio::error::operation_aborted);
        server.client->async_execute(3, after.keep());
        server.serve();
        REQUIRE(after.ec);
        CHECK(*after.ec == error::closed);
    }

    TEST_CASE("C4: a client that is stopped closes its session though it is destroyed meanwhile") {
        for (bool destroyed : {false, true}) {
            Server server;
            Outcome before;
            server.client->async_execute(3, before.keep());
            server.serve();
            server.answer("7");
            server.client->stop();
            if (destroyed) server.client.reset();
            server.serve();
            REQUIRE(server.waiting.size() == 1);
            const auto [to, request] = server.waiting[0];
            CHECK(std::get<Close>(request.message) == Close{ClusterId{1}, "main", {1, 1}});
            CHECK(server.network.find(to));
            server.send(to, request.id, CloseResult{{1, 3}});
            server.serve();
            CHECK(!server.network.find(to));  // the client has closed its transport
        }
    }

    TEST_CASE("C4: a client that is stopped waits for nobody for long and one that is only destroyed for nobody") {
        Server server;
        Outcome before;
        server.client->async_execute(3, before.keep());
        server.serve();
        const auto name = server.waiting.at(0).first;
        server.answer("7");
        server.client->stop();
        for (int i = 0; i < 30; ++i) server.network.advance(100ms), server.serve();
        CHECK(!server.network.find(name));
        CHECK(server.waiting.size() >= 2);  // it sent the request more than once
        server.waiting.clear();

        server.client.emplace(ArchetypeTransport{server.network}, client_options());
        server.client->async_execute(3, before.keep());
        server.serve();
        server.answer("7");
        server.client.reset();
        server.serve();
        CHECK(server.waiting.empty());
    }

    TEST_CASE("a call that ends at once does not complete inside its start either") {
        Server server;
        Outcome outcome;
        bool inside = true;
        asio::post(server.io, [&] {
            server.client->stop();
            server.client->async_execute(3, outcome.keep());
            inside = outcome.ec.has_value();
        });
        server.serve();
        CHECK(!inside);
        CHECK(outcome.ec == error::closed);
    }

    TEST_CASE("a client that is moved goes on and one that is destroyed ends its calls") {
        Server server;
        Outcome moved, destroyed;
        server.client->async_execute(3, moved.keep());
        {
            CounterClient client{std::move(*server.client)};
            server.client.reset();
            server.serve();
            server.answer("7");
            CHECK(moved.value == 7);
            client.async_execute(3, destroyed.keep());
        }
        server.serve();
        REQUIRE(destroyed.ec);
        CHECK(*destroyed.ec == asio::error::operation_aborted);
    }

    TEST_CASE("a client that is assigned to stops what it was") {
        Server server;
        Outcome outcome;
        server.client->async_execute(3, outcome.keep());
        *server.client = CounterClient{ArchetypeTransport{server.network}, client_options()};
        server.serve();
        REQUIRE(outcome.ec);
        CHECK(*outcome.ec == asio::error::operation_aborted);
    }

    TEST_CASE("an executor that ends with calls under way leaves nothing behind") {
        std::weak_ptr<CounterClient> watched;
        bool resumed = false;
        {
            Server server;
            auto client = std::make_shared<CounterClient>(ArchetypeTransport{server.network}, client_options());
            watched = client;
            asio::co_spawn(server.io, await_owning(std::move(client), resumed), asio::detached);
            server.serve();
            CHECK(!watched.expired());  // owned by the coroutine, which its own pending call keeps alive
        }
        CHECK(watched.expired());
        CHECK(!resumed);
    }

    TEST_CASE("a reply that the store cannot have given is internal") {
        Server server;
        Outcome outcome;
        server.client->async_execute(3, outcome.keep());
        server.serve();
        server.answer("\"seven\"");
        REQUIRE(outcome.ec);
        CHECK(*outcome.ec == error::internal);
    }

    TEST_CASE("a query that has no JSON form is a bad request") {
        Server server;
        Outcome outcome;
        server.client->async_query("\xff", outcome.keep());
        CHECK(!outcome.ec);
        server.serve();
        REQUIRE(outcome.ec);
        CHECK(*outcome.ec == error::bad_request);
    }

    TEST_CASE("one turn wakes the transport for a call and no coroutine stays behind") {
        Server server;
        for (int i = 0; i < 100; ++i) server.client->async_execute(i, asio::detached);
        server.serve();
        CHECK(server.waiting.size() == 100);
        while (!server.waiting.empty()) server.answer("1");
    }

    TEST_CASE("invalid options are refused with a sentence") {
        Server server;
        ClientOptions options;
        try {
            CounterClient client{ArchetypeTransport{server.network}, options};
            FAIL("no view service was named");
        } catch (const std::system_error& refused) {
            CHECK(refused.code() == error::invalid_options);
            CHECK(std::string{refused.what()}.find("view_service") != std::string::npos);
        }
    }
}
