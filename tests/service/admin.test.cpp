// The results of an operator's tools with services that answer, refuse, are not running, or come back.
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
    struct Fixture : ServiceWorld {
        std::vector<Event> emitted;
        Admin<T> admin{T{network}, 2s, [this](const Event& event) { emitted.push_back(event); }};
    };
    }  // namespace

    TEST_CASE("views and the state of view service and servers can be read") {
        Fixture fixture;
        fixture.start("a");
        fixture.start("b");
        REQUIRE(fixture.ready(1));
        Kept<ViewInfo> view;
        Kept<ViewStatusResult> status;
        Kept<ReplicaStatusResult> replica;
        fixture.admin.async_view("views", "main", view);
        fixture.admin.async_view_status("views", std::nullopt, status);
        fixture.admin.async_replica_status("b", replica);
        CHECK(fixture.network.until([&] { return view.done() && status.done() && replica.done(); }, 1s));
        CHECK(view.value() == fixture.views->view());
        REQUIRE(status.value().groups.size() == 1);
        CHECK(status.value().groups[0].servers.size() == 2);
        CHECK(replica.value().server == "b");
        CHECK(replica.value().role == Role::backup);
        CHECK(fixture.emitted.empty());
    }

    TEST_CASE("R6: an operator promotes a backup") {
        Fixture fixture;
        fixture.start("a");
        fixture.start("b");
        REQUIRE(fixture.ready(1));
        const auto backup = fixture.views->view().view.backups.front().name;
        Kept<ViewInfo> promoted;
        fixture.admin.async_promote("views", "main", backup, promoted);
        CHECK(fixture.network.until([&] { return promoted.done(); }, 2s));
        CHECK(!promoted.ec());
        CHECK(promoted.value().view.primary.name == backup);
    }

    TEST_CASE("a group whose view service lost its record goes on once it is adopted") {
        Fixture fixture;
        fixture.start("a");
        fixture.start("b");
        REQUIRE(fixture.ready(1));
        const auto before = fixture.views->view();
        auto clerk = fixture.clerk();
        Kept<void> put, put_again;
        clerk.async_put("k", "v", put);
        CHECK(fixture.network.until([&] { return put.done(); }, 2s));
        fixture.views.reset();
        fixture.network.settle();
        fixture.views = std::make_unique<ViewService<Fixture::T>>(Fixture::T{fixture.network, "views"});
        fixture.views->async_run([](std::error_code) {});
        Kept<ViewForceResult> adopted;
        fixture.admin.async_adopt("views", "main", before.cluster, adopted);
        CHECK(fixture.network.until([&] { return adopted.done(); }, 2s));
        CHECK(!adopted.ec());
        CHECK(adopted.value().info.cluster == before.cluster);
        CHECK(adopted.value().info.view.primary == before.view.primary);
        CHECK(fixture.ready(1));
        auto later = fixture.clerk();
        later.async_put("k", "w", put_again);
        CHECK(fixture.network.until([&] { return put_again.done(); }, 2s));
        CHECK(!put_again.ec());
        CHECK(fixture.views->view().view.number == before.view.number + 1'000'000'000);
        for (const auto& event : fixture.events) CHECK(!std::holds_alternative<LogTruncated>(event));
    }

    TEST_CASE("a refusal completes with its code and tells its text") {
        Fixture fixture;
        fixture.start("a");
        REQUIRE(fixture.ready(0));
        Kept<ViewInfo> promoted;
        fixture.admin.async_promote("views", "main", "nobody", promoted);
        CHECK(fixture.network.until([&] { return promoted.done(); }, 2s));
        CHECK(promoted.ec() == error::bad_request);
        REQUIRE(fixture.emitted.size() == 1);
        CHECK(!std::get<Refused>(fixture.emitted[0]).what.empty());
    }

    TEST_CASE("a method that the other end does not have is refused by name") {
        Fixture fixture;
        fixture.start("a");
        Kept<ReplicaStatusResult> wrong;
        fixture.admin.async_replica_status("views", wrong);
        CHECK(fixture.network.until([&] { return wrong.done(); }, 2s));
        CHECK(wrong.ec() == error::unknown_method);
    }

    TEST_CASE("a read waits for a service that is not there yet and gives up in the end") {
        Fixture fixture;
        Kept<ReplicaStatusResult> early, never_answered;
        fixture.admin.async_replica_status("a", early);
        fixture.admin.async_replica_status("nowhere", never_answered);
        fixture.network.advance(300ms);
        CHECK(!early.done());
        fixture.start("a");
        CHECK(fixture.network.until([&] { return early.done(); }, 1s));
        CHECK(!early.ec());
        fixture.network.advance(1s);
        CHECK(!never_answered.done());
        fixture.network.advance(1s);
        REQUIRE(never_answered.done());
        CHECK(never_answered.ec() == error::deadline_passed);
    }

    TEST_CASE("a change that finds nobody is not repeated") {
        Fixture fixture;
        Kept<ViewForceResult> forced;
        fixture.admin.async_force("nowhere", "main", "a", forced);
        CHECK(fixture.network.until([&] { return forced.done(); }, 1s));
        CHECK(forced.ec() == error::outcome_unknown);
    }

    TEST_CASE("a watch tells every view until it is cancelled") {
        Fixture fixture;
        asio::cancellation_signal signal;
        std::vector<ViewNumber> seen;
        Kept<void> ended;
        fixture.admin.async_watch(
            "views", "main", [&](const ViewInfo& info) { seen.push_back(info.view.number); },
            asio::bind_cancellation_slot(signal.slot(), ended));
        fixture.network.settle();
        fixture.start("a");
        fixture.start("b");
        REQUIRE(fixture.ready(1));
        fixture.network.advance(100ms);
        REQUIRE(!seen.empty());
        CHECK(std::is_sorted(seen.begin(), seen.end()));
        CHECK(seen.back() == fixture.views->view().view.number);
        CHECK(!ended.done());
        signal.emit(asio::cancellation_type::terminal);
        fixture.network.settle();
        CHECK(ended.ec() == asio::error::operation_aborted);
        const auto count = seen.size();
        fixture.kill("a");
        fixture.network.advance(2s);
        CHECK(seen.size() == count);
    }

    TEST_CASE("a watch follows a view service that comes back") {
        Fixture fixture;
        std::vector<ClusterId> seen;
        Kept<void> ended;
        fixture.admin.async_watch(
            "views", "main", [&](const ViewInfo& info) { seen.push_back(info.cluster); }, ended);
        fixture.network.settle();
        fixture.views.reset();
        fixture.network.advance(500ms);
        fixture.views = std::make_unique<ViewService<ServiceWorld::T>>(ServiceWorld::T{fixture.network, "views"});
        fixture.views->async_run([](std::error_code) {});
        fixture.network.advance(2s);
        REQUIRE(seen.size() == 2);
        CHECK(seen[0] != seen[1]);
    }

    TEST_CASE("stop ends what is asked and watched") {
        Fixture fixture;
        Kept<void> watch;
        Kept<ReplicaStatusResult> status, late;
        fixture.admin.async_watch(
            "views", "main", [](const ViewInfo&) {}, watch);
        fixture.admin.async_replica_status("nowhere", status);
        fixture.network.settle();
        fixture.admin.stop();
        fixture.network.settle();
        CHECK(watch.ec() == asio::error::operation_aborted);
        CHECK(status.ec() == asio::error::operation_aborted);
        fixture.admin.async_replica_status("nowhere", late);
        fixture.network.settle();
        CHECK(late.ec() == error::closed);
    }
}
