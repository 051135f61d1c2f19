// What an operator's tools get, from services that answer, refuse, are not there, or come back.
#include <doctest/doctest.h>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>

#include <tests/support/service_world.hpp>
#include <understudy/admin.hpp>

using namespace understudy;
using namespace std::chrono_literals;
using test::Kept;
using test::ServiceWorld;

TEST_SUITE("admin") {
    namespace {
    struct Desk : ServiceWorld {
        std::vector<Event> told;
        Admin<T> admin{T{network}, 2s, [this](const Event& event) { told.push_back(event); }};
    };
    }  // namespace

    TEST_CASE("views and the state of view service and servers can be read") {
        Desk desk;
        desk.start("a");
        desk.start("b");
        REQUIRE(desk.ready(1));
        Kept<ViewInfo> view;
        Kept<ViewStatusResult> status;
        Kept<ReplicaStatusResult> replica;
        desk.admin.async_view("views", "main", view);
        desk.admin.async_view_status("views", std::nullopt, status);
        desk.admin.async_replica_status("b", replica);
        CHECK(desk.network.until([&] { return view.done() && status.done() && replica.done(); }, 1s));
        CHECK(view.value() == desk.views->view());
        REQUIRE(status.value().groups.size() == 1);
        CHECK(status.value().groups[0].servers.size() == 2);
        CHECK(replica.value().server == "b");
        CHECK(replica.value().role == Role::backup);
        CHECK(desk.told.empty());
    }

    TEST_CASE("R6: an operator promotes a backup") {
        Desk desk;
        desk.start("a");
        desk.start("b");
        REQUIRE(desk.ready(1));
        const auto backup = desk.views->view().view.backups.front().name;
        Kept<ViewInfo> promoted;
        desk.admin.async_promote("views", "main", backup, promoted);
        CHECK(desk.network.until([&] { return promoted.done(); }, 2s));
        CHECK(!promoted.ec());
        CHECK(promoted.value().view.primary.name == backup);
    }

    TEST_CASE("a group whose view service lost its record goes on once it is adopted") {
        Desk desk;
        desk.start("a");
        desk.start("b");
        REQUIRE(desk.ready(1));
        const auto before = desk.views->view();
        auto clerk = desk.clerk();
        Kept<void> put, put_again;
        clerk.async_put("k", "v", put);
        CHECK(desk.network.until([&] { return put.done(); }, 2s));
        desk.views.reset();
        desk.network.settle();
        desk.views = std::make_unique<ViewService<Desk::T>>(Desk::T{desk.network, "views"});
        desk.views->async_run([](std::error_code) {});
        Kept<ViewForceResult> adopted;
        desk.admin.async_adopt("views", "main", before.cluster, adopted);
        CHECK(desk.network.until([&] { return adopted.done(); }, 2s));
        CHECK(!adopted.ec());
        CHECK(adopted.value().info.cluster == before.cluster);
        CHECK(adopted.value().info.view.primary == before.view.primary);
        CHECK(desk.ready(1));
        auto later = desk.clerk();
        later.async_put("k", "w", put_again);
        CHECK(desk.network.until([&] { return put_again.done(); }, 2s));
        CHECK(!put_again.ec());
        CHECK(desk.views->view().view.number == before.view.number + 1'000'000'000);
        for (const auto& event : desk.events) CHECK(!std::holds_alternative<LogCut>(event));
    }

    TEST_CASE("a refusal completes with its code and tells its text") {
        Desk desk;
        desk.start("a");
        REQUIRE(desk.ready(0));
        Kept<ViewInfo> promoted;
        desk.admin.async_promote("views", "main", "nobody", promoted);
        CHECK(desk.network.until([&] { return promoted.done(); }, 2s));
        CHECK(promoted.ec() == error::bad_request);
        REQUIRE(desk.told.size() == 1);
        CHECK(!std::get<Refused>(desk.told[0]).what.empty());
    }

    TEST_CASE("a method that the other end does not have is refused by name") {
        Desk desk;
        desk.start("a");
        Kept<ReplicaStatusResult> wrong;
        desk.admin.async_replica_status("views", wrong);
        CHECK(desk.network.until([&] { return wrong.done(); }, 2s));
        CHECK(wrong.ec() == error::unknown_method);
    }

    TEST_CASE("a read waits for a service that is not there yet and gives up in the end") {
        Desk desk;
        Kept<ReplicaStatusResult> early, never_answered;
        desk.admin.async_replica_status("a", early);
        desk.admin.async_replica_status("nowhere", never_answered);
        desk.network.advance(300ms);
        CHECK(!early.done());
        desk.start("a");
        CHECK(desk.network.until([&] { return early.done(); }, 1s));
        CHECK(!early.ec());
        desk.network.advance(1s);
        CHECK(!never_answered.done());
        desk.network.advance(1s);
        REQUIRE(never_answered.done());
        CHECK(never_answered.ec() == error::deadline_passed);
    }

    TEST_CASE("a change that finds nobody is not repeated") {
        Desk desk;
        Kept<ViewForceResult> forced;
        desk.admin.async_force("nowhere", "main", "a", forced);
        CHECK(desk.network.until([&] { return forced.done(); }, 1s));
        CHECK(forced.ec() == error::outcome_unknown);
    }

    TEST_CASE("a watch tells every view until it is cancelled") {
        Desk desk;
        asio::cancellation_signal signal;
        std::vector<ViewNumber> seen;
        Kept<void> ended;
        desk.admin.async_watch(
            "views", "main", [&](const ViewInfo& info) { seen.push_back(info.view.number); },
            asio::bind_cancellation_slot(signal.slot(), ended));
        desk.network.settle();
        desk.start("a");
        desk.start("b");
        REQUIRE(desk.ready(1));
        desk.network.advance(100ms);
        REQUIRE(!seen.empty());
        CHECK(std::is_sorted(seen.begin(), seen.end()));
        CHECK(seen.back() == desk.views->view().view.number);
        CHECK(!ended.done());
        signal.emit(asio::cancellation_type::terminal);
        desk.network.settle();
        CHECK(ended.ec() == asio::error::operation_aborted);
        const auto count = seen.size();
        desk.kill("a");
        desk.network.advance(2s);
        CHECK(seen.size() == count);
    }

    TEST_CASE("a watch follows a view service that comes back") {
        Desk desk;
        std::vector<ClusterId> seen;
        Kept<void> ended;
        desk.admin.async_watch(
            "views", "main", [&](const ViewInfo& info) { seen.push_back(info.cluster); }, ended);
        desk.network.settle();
        desk.views.reset();
        desk.network.advance(500ms);
        desk.views = std::make_unique<ViewService<ServiceWorld::T>>(ServiceWorld::T{desk.network, "views"});
        desk.views->async_run([](std::error_code) {});
        desk.network.advance(2s);
        REQUIRE(seen.size() == 2);
        CHECK(seen[0] != seen[1]);
    }

    TEST_CASE("stop ends what is asked and watched") {
        Desk desk;
        Kept<void> watch;
        Kept<ReplicaStatusResult> status, late;
        desk.admin.async_watch(
            "views", "main", [](const ViewInfo&) {}, watch);
        desk.admin.async_replica_status("nowhere", status);
        desk.network.settle();
        desk.admin.stop();
        desk.network.settle();
        CHECK(watch.ec() == asio::error::operation_aborted);
        CHECK(status.ec() == asio::error::operation_aborted);
        desk.admin.async_replica_status("nowhere", late);
        desk.network.settle();
        CHECK(late.ec() == error::closed);
    }
}
