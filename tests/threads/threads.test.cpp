// A host with several threads: four of them run one io_context, and every node is on a strand of its own, as
// docs/embedding.md allows. The assertions hold in any case; the purpose is that ThreadSanitizer watches.
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/dispatch.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/strand.hpp>
#include <asio/use_future.hpp>

#include <understudy/clerk.hpp>
#include <understudy/net/any.hpp>
#include <understudy/understudy.hpp>

#include "tests/support/abrupt_host.hpp"
#include "tests/support/net.hpp"

using namespace understudy;
using namespace understudy::replica;
using namespace std::chrono_literals;

TEST_SUITE("threads") {
    using net::AnyTransport;
    using Strand = asio::strand<asio::io_context::executor_type>;
    using Replica = PBService<KvStore, AnyTransport>;
    using KvClerk = Clerk<AnyTransport>;

    /// One node and its strand: the node is constructed, used and destroyed on the strand only.
    template <typename Service>
    class OnStrand {
    public:
        template <typename Make>
        OnStrand(asio::io_context& io, Make make) : strand_{asio::make_strand(io)} {
            on_strand([this, make] { service_.emplace(make(strand_)); });
        }
        OnStrand(OnStrand&&) = delete;
        ~OnStrand() {
            on_strand([this] { service_.reset(); });
        }

        const Strand& strand() const { return strand_; }
        Service& operator*() { return *service_; }
        Service* operator->() { return &*service_; }

        /// Called from a thread that does not run the context: runs `work` on the strand and waits until it is done.
        template <typename Work>
        auto on_strand(Work work) {
            using Task = std::packaged_task<decltype(work())()>;
            const auto task =
                std::make_shared<Task>(std::move(work));  // shared, because for Asio a task is a completion token
            auto done = task->get_future();
            asio::post(strand_, [task] { (*task)(); });
            return done.get();
        }
        /// May be called from any thread; does not wait.
        void stop_soon() {
            asio::post(strand_, [this] { service_->stop(); });
        }

    private:
        Strand strand_;
        std::optional<Service> service_;
    };

    class Threads {
    public:
        explicit Threads(asio::io_context& io) : work_{io.get_executor()} {
            for (int i = 0; i < 4; ++i) threads_.emplace_back([&io] { io.run(); });
        }
        Threads(Threads&&) = delete;
        ~Threads() {
            work_.reset();
            for (auto& thread : threads_) thread.join();
        }

    private:
        asio::executor_work_guard<asio::io_context::executor_type> work_;
        std::vector<std::thread> threads_;
    };

    /// A view service and three replicas that answer a write only when two of them have it.
    class Host {
    public:
        explicit Host(bool over_tcp) : over_tcp_{over_tcp}, threads_{io} {
            views_.emplace(io, [address = next_address()](const Strand& strand) {
                return ViewService{AnyTransport{strand, address}, ViewOptions{.ping_interval = 50ms}};
            });
            views_address_ = views_->on_strand([this] { return (*views_)->local(); });
            ended_.push_back(run(*views_));
            for (int i = 0; i < 3; ++i) {
                auto& replica = replicas_.emplace_back(io, [this, address = next_address()](const Strand& strand) {
                    ReplicaOptions options{.view_service = {views_address_}, .min_in_sync = 1};
                    return Replica{KvStore{}, AnyTransport{strand, address}, options,
                                   [this](const Event&) { ++events_; }};
                });
                ended_.push_back(run(replica));
            }
        }
        ~Host() {
            for (auto& replica : replicas_) replica.stop_soon();
            views_->stop_soon();
            for (auto& end : ended_) end.get();
        }
        Host(Host&&) = delete;

        asio::io_context io{4};

        /// Makes a clerk on a strand of its own, while all other nodes are working.
        std::unique_ptr<OnStrand<KvClerk>> clerk() {
            return std::make_unique<OnStrand<KvClerk>>(io, [this](const Strand& strand) {
                return KvClerk{AnyTransport{strand},
                               {.view_service = {views_address_}, .give_up_after = Duration::max()}};
            });
        }
        /// Stops the replica that leads.
        void stop_primary() {
            for (auto& replica : replicas_)
                asio::post(replica.strand(), [&replica] {
                    if (replica->serving()) replica->stop();
                });
        }
        OnStrand<ViewService<AnyTransport>>& views() { return *views_; }
        std::deque<OnStrand<Replica>>& replicas() { return replicas_; }

        template <typename Service>
        static std::future<void> run(OnStrand<Service>& node) {
            return node.on_strand([&node] { return node->async_run(asio::use_future); });
        }

    private:
        // A host name instead of a number, so that the resolver and its thread take part.
        Address next_address() {
            return over_tcp_ ? "tcp://" + understudy::test::host_name() + ":0"
                             : folder_.address(std::to_string(++last_address_));
        }

        bool over_tcp_;
        test::TemporaryFolder folder_;
        int last_address_ = 0;
        Threads threads_;
        Address views_address_;
        std::optional<OnStrand<ViewService<AnyTransport>>> views_;
        std::deque<OnStrand<Replica>> replicas_;
        std::vector<std::future<void>> ended_;
        std::atomic<int> events_ = 0;  // observers are called on three strands
    };

    std::string mark(int writer, int number) {
        return "<" + std::to_string(writer) + "." + std::to_string(number) + ">";
    }
    /// The number of marks that do not occur exactly once in the text.
    int missing_or_double(const std::string& text, int writers, int each) {
        int wrong = 0;
        for (int writer = 0; writer < writers; ++writer)
            for (int number = 0; number < each; ++number) {
                const auto wanted = mark(writer, number);
                const auto first = text.find(wanted);
                wrong += first == text.npos || text.find(wanted, first + 1) != text.npos;
            }
        return wrong;
    }

    /// The work of one clerk. All of it happens on the clerk's strand.
    asio::awaitable<int> write_and_read(Host & host, KvClerk & clerk, int writer, int count) {
        const auto own = "own" + std::to_string(writer);
        int wrong = 0;
        for (int number = 0; number < count; ++number) {
            co_await clerk.async_append("log", mark(writer, number));
            co_await clerk.async_put(own, mark(writer, number));
            const std::string seen = co_await clerk.async_get(own);
            wrong += seen != mark(writer, number);
            if (writer == 0 && number == count / 3) host.stop_primary();
        }
        co_return wrong;
    }

    asio::awaitable<std::string> read(KvClerk & clerk, std::string key) { co_return co_await clerk.async_get(key); }
    asio::awaitable<void> append(KvClerk & clerk, std::string key, std::string value) {
        co_await clerk.async_append(key, value);
    }

    template <typename Work>
    auto spawn(OnStrand<KvClerk> & clerk, Work work) {
        return asio::co_spawn(clerk.strand(), std::move(work), asio::use_future);
    }

    TEST_CASE("each answered append stands there once when the primary stops under clerks on several threads") {
        bool over_tcp = false;
        SUBCASE("over TCP") { over_tcp = true; }
        SUBCASE("over unix sockets") {}
        constexpr int writers = 3, each = 30;
        Host host{over_tcp};
        std::vector<std::unique_ptr<OnStrand<KvClerk>>> clerks;
        std::vector<std::future<int>> done;
        for (int writer = 0; writer < writers; ++writer) {
            clerks.push_back(host.clerk());
            done.push_back(spawn(*clerks.back(), write_and_read(host, **clerks.back(), writer, each)));
        }
        for (auto& writer : done) CHECK(writer.get() == 0);
        const auto reader = host.clerk();
        const auto log = spawn(*reader, read(**reader, "log")).get();
        CHECK(missing_or_double(log, writers, each) == 0);
    }

    TEST_CASE("threads that do not run the context start calls by way of the strand") {
        constexpr int writers = 3, each = 20;
        Host host{false};
        const auto clerk = host.clerk();
        std::vector<std::thread> foreign;
        for (int writer = 0; writer < writers; ++writer)
            foreign.emplace_back([&clerk, writer] {
                for (int number = 0; number < each; ++number)
                    spawn(*clerk, append(**clerk, "log", mark(writer, number))).get();
            });
        for (auto& thread : foreign) thread.join();
        CHECK(missing_or_double(spawn(*clerk, read(**clerk, "log")).get(), writers, each) == 0);
    }

    TEST_CASE("a handler runs on its own strand and not on that of the service") {
        constexpr int calls = 50;
        Host host{false};
        const auto clerk = host.clerk();
        const auto other = asio::make_strand(host.io);
        int answered = 0, elsewhere = 0;  // only accessed on `other`
        std::promise<void> all;
        auto note = [&](std::error_code fault, std::uint64_t) {
            elsewhere += fault || !other.running_in_this_thread();
            if (++answered == calls) all.set_value();
        };
        asio::post(clerk->strand(), [&] {
            for (int i = 0; i < calls; ++i) (**clerk).async_append("log", "x", asio::bind_executor(other, note));
        });
        all.get_future().get();
        CHECK(elsewhere == 0);
        CHECK(spawn(*clerk, read(**clerk, "log")).get().size() == calls);
    }

    TEST_CASE("calls and services are cancelled by way of the strand") {
        Host host{false};
        const auto clerk = host.clerk();
        for (auto& replica : host.replicas()) replica.on_strand([&replica] { replica->stop(); });

        asio::cancellation_signal signal;  // used on the clerk's strand only
        std::promise<std::error_code> outcome;
        auto note = [&](std::error_code fault) { outcome.set_value(fault); };
        clerk->on_strand(
            [&] { (**clerk).async_put("key", "value", asio::bind_cancellation_slot(signal.slot(), note)); });
        clerk->on_strand([&] { signal.emit(asio::cancellation_type::terminal); });
        CHECK(outcome.get_future().get() == asio::error::operation_aborted);

        // A view service whose run is cancelled can be run again and keeps its state.
        OnStrand<ViewService<AnyTransport>> views{host.io, [](const Strand& strand) {
                                                      return ViewService{AnyTransport{strand, "tcp://127.0.0.1:0"}};
                                                  }};
        for (int round = 0; round < 3; ++round) {
            asio::cancellation_signal stop;
            std::promise<std::error_code> ended;
            auto end = [&](std::error_code fault) { ended.set_value(fault); };
            views.on_strand([&] { views->async_run(asio::bind_cancellation_slot(stop.slot(), end)); });
            views.on_strand([&] { stop.emit(asio::cancellation_type::terminal); });
            CHECK(ended.get_future().get() == asio::error::operation_aborted);
        }
        auto last = Host::run(views);
        views.stop_soon();
        CHECK_NOTHROW(last.get());
    }

    TEST_CASE("a clerk that is destroyed on its strand ends its calls") {
        Host host{true};
        for (auto& replica : host.replicas()) replica.on_strand([&replica] { replica->stop(); });
        std::promise<std::error_code> outcome;  // exceptions in futures look like data races to ThreadSanitizer
        auto note = [&](std::error_code fault) { outcome.set_value(fault); };
        {
            const auto clerk = host.clerk();
            clerk->on_strand([&] { (**clerk).async_put("key", "value", note); });
        }
        CHECK(outcome.get_future().get() == asio::error::operation_aborted);
    }

    TEST_CASE("services and their execution context may end while threads of the library work on disks") {
        for (int steps = 0; steps < 20; ++steps) {
            CAPTURE(steps);
            test::TemporaryFolder folder;
            test::end_abruptly(folder, steps);
            CHECK_NOTHROW(journal::FileJournal{folder.file("server")});
        }
    }
}
