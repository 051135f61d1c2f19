// What each party does for one put or get: real frames over Unix sockets, between a view service, two servers and
// clients in one thread. Each party has an io_context. They take turns in a fixed order, so a turn has the same
// messages in every run. tests/cost/check.py counts the instructions of the turns with callgrind and their system
// calls with strace; allocations are counted here.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <asio/detached.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <valgrind/callgrind.h>

#include <understudy/clerk.hpp>
#include <understudy/net/unix.hpp>
#include <understudy/understudy.hpp>

#include "cost.hpp"

namespace us = understudy;
using us::net::UnixTransport;
using namespace std::chrono_literals;

// callgrind attributes to a party what these functions call. A turn ends with a look for events that finds nothing,
// where a process of its own would sleep. `look_in_vain` is such a look alone, to be subtracted.
extern "C" {
[[gnu::noinline]] void turn_of_views(asio::io_context& io) { io.poll(); }
[[gnu::noinline]] void turn_of_primary(asio::io_context& io) { io.poll(); }
[[gnu::noinline]] void turn_of_backup(asio::io_context& io) { io.poll(); }
[[gnu::noinline]] void turn_of_client(asio::io_context& io) { io.poll(); }
[[gnu::noinline]] void look_in_vain(asio::io_context& io) { io.poll(); }
}

namespace {

/// The descriptors by which the io_contexts of this process wait for events.
std::set<int> event_descriptors() {
    std::set<int> found;
    for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"}) {
        std::error_code gone;
        if (std::filesystem::read_symlink(entry.path(), gone) == "anon_inode:[eventpoll]")
            found.insert(std::stoi(entry.path().filename()));
    }
    return found;
}

/// One party of the protocol, with an io_context of its own.
class Party {
public:
    Party(std::string_view name, void (*turn)(asio::io_context&)) : name_{name}, turn_{turn} {
        const auto before = event_descriptors();
        asio::steady_timer{io_};  // Asio makes the descriptor when it is first needed
        for (const int descriptor : event_descriptors())
            if (!before.contains(descriptor)) events_.fd = descriptor;
    }
    asio::io_context& io() { return io_; }

    /// Something was started outside of its turns, which no descriptor shows.
    void note_started() { started_ = true; }
    /// The descriptor that becomes readable when something comes for it, or a timer expires.
    pollfd events() const { return events_; }
    bool has_work() { return started_ || ::poll(&events_, 1, 0) == 1; }
    void take_turn() {
        started_ = false;
        ++turns_;
        mark(name_);
        counted_allocations = &allocations_;
        turn_(io_);
        counted_allocations = &all_allocations;
        mark("look_in_vain");
        look_in_vain(io_);
        mark("between");
    }
    /// From now on turns and allocations are counted.
    void start_counting() {
        allocations_ = turns_ = 0;
        mark("begin");
    }
    void print() const { std::printf("%s %zu %zu\n", name_.data(), turns_, allocations_); }

private:
    /// A system call that fails, as a mark for who reads the trace of a run.
    static void mark(std::string_view name) { [[maybe_unused]] auto failed = ::write(-1, name.data(), name.size()); }

    std::string_view name_;
    void (*turn_)(asio::io_context&);
    asio::io_context io_{1};
    asio::executor_work_guard<asio::io_context::executor_type> stays_{io_.get_executor()};  // it would stop when idle
    pollfd events_{-1, POLLIN, 0};
    bool started_ = false;
    std::size_t turns_ = 0, allocations_ = 0;
};

/// What the clients do.
struct Load {
    bool reads;
    std::size_t connections;
    std::size_t in_flight;  ///< On each connection.
    std::size_t bytes;      ///< Of each value.
};

/// A group of two, and clients that keep their calls in flight.
class Group {
public:
    Group(const std::string& folder, Load load) : folder_{folder}, load_{load} {
        start(views_server_, views_);
        start(one_, primary_);
        while (views_server_.view().view.number == 0) take_turns();
        start(two_, backup_);
        while (views_server_.view().view.synced_count() == 0) take_turns();
        for (std::size_t n = 0; n < load_.connections; ++n)
            clerks_.push_back(std::make_unique<us::Clerk<UnixTransport>>(
                UnixTransport{client_.io()}, us::ClientOptions{.view_service = {views_server_.local()}}));
    }

    void run(bool reads, std::size_t count) {
        reads_ = reads;
        left_ = count;
        under_way_ = load_.connections * load_.in_flight;
        asio::post(client_.io(), [this, lanes = under_way_] {  // in a turn of the client, where it is counted
            for (std::size_t n = 0; n < lanes; ++n) next(n);
        });
        client_.note_started();
        while (under_way_ != 0) take_turns();
    }
    void start_counting() {
        for (auto* party : parties_) party->start_counting();
    }
    void print() const {
        for (const auto* party : parties_) party->print();
    }

private:
    std::string address(const char* name) const { return "unix://" + folder_ + "/" + name; }
    template <typename Server>
    void start(Server& server, Party& party) {
        server.async_run(asio::detached);
        party.note_started();
    }
    void take_turns() {
        bool idle = true;
        for (auto* party : parties_) {
            if (!party->has_work()) continue;
            party->take_turn();
            idle = false;
        }
        if (!idle) return;
        std::array<pollfd, 4> all;
        std::ranges::transform(parties_, all.begin(), [](const Party* party) { return party->events(); });
        ::poll(all.data(), all.size(), -1);
    }
    void next(std::size_t n) {
        if (left_ == 0) return void(--under_way_);
        --left_;
        auto& clerk = *clerks_[n % clerks_.size()];
        auto key = "key" + std::to_string(1000 + n);
        if (reads_)
            clerk.async_get(std::move(key), [this, n](std::error_code ec, const std::string&) { done(ec, n); });
        else
            clerk.async_put(std::move(key), std::string(load_.bytes, 'v'),
                            [this, n](std::error_code ec) { done(ec, n); });
    }
    void done(std::error_code ec, std::size_t n) {
        if (ec) std::abort();
        next(n);
    }

    std::string folder_;
    Load load_;
    Party views_{"views", turn_of_views}, primary_{"primary", turn_of_primary}, backup_{"backup", turn_of_backup},
        client_{"client", turn_of_client};
    std::array<Party*, 4> parties_{&views_, &primary_, &backup_, &client_};
    us::ViewService<UnixTransport> views_server_{UnixTransport{views_.io(), address("views.socket")},
                                                 us::ViewOptions{.ping_interval = 2s}};
    us::ReplicaOptions options_{.view_service = {views_server_.local()}};
    us::PBService<us::KvStore, UnixTransport> one_{
        us::KvStore{}, UnixTransport{primary_.io(), address("primary.socket")}, options_};
    us::PBService<us::KvStore, UnixTransport> two_{
        us::KvStore{}, UnixTransport{backup_.io(), address("backup.socket")}, options_};
    std::vector<std::unique_ptr<us::Clerk<UnixTransport>>> clerks_;
    bool reads_ = false;
    std::size_t left_ = 0, under_way_ = 0;
};

std::size_t number(const char* text) { return std::strtoul(text, nullptr, 10); }

}  // namespace

int run_parties(int argc, char** argv) {
    if (argc != 8)
        return std::fprintf(stderr, "cost parties FOLDER put|get CONNECTIONS IN_FLIGHT BYTES COUNT\n"), 2;
    const Load load{std::string_view{argv[3]} == "get", number(argv[4]), number(argv[5]), number(argv[6])};
    Group group{argv[2], load};
    group.run(false, std::max<std::size_t>(5'000'000 / (load.bytes + 500), 200));  // until buffers have their size
    group.start_counting();
    CALLGRIND_START_INSTRUMENTATION;  // nothing without callgrind; what was before is not counted, which is faster
    group.run(load.reads, number(argv[7]));
    CALLGRIND_STOP_INSTRUMENTATION;
    group.print();
    return 0;
}
