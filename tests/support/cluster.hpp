// A view service, servers and clerks on one stage, and what a test does to them: kill, restart, cut, wait.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <asio/detached.hpp>
#include <doctest/doctest.h>

#include <tests/support/faulty_transport.hpp>
#include <tests/support/stage.hpp>
#include <understudy/understudy.hpp>

namespace understudy::test {

using namespace std::chrono_literals;

inline constexpr Duration I = 100ms;   // the ping interval
inline constexpr Duration D = 5 * I;

/// How a call ended.
struct Ended {
    bool done = false;
    std::error_code ec;
    std::string value;
    explicit operator bool() const { return done && !ec; }
};

template <typename Stage>
class Cluster {
public:
    using Carrier = FaultyTransport<typename Stage::Carrier>;
    using Server = PBService<KvStore, Carrier>;

    explicit Cluster(Stage& stage)
        : stage_{stage},
          view_faults_{std::make_shared<Faults>()},
          views_{Carrier{stage.listen(stage.address("views")), view_faults_}} {
        views_.async_run(asio::detached);
    }

    Stage& stage() { return stage_; }
    const ViewService<Carrier>& views() const { return views_; }
    Faults& view_faults() { return *view_faults_; }
    View view() const { return views_.view().view; }

    // ---- servers ----

    /// Starts server `n`, empty, under the name that it had before.
    void start(int n) {
        auto& seat = seats_[n];
        if (seat.name.empty()) seat.name = stage_.address("server" + std::to_string(n));
        Carrier carrier{stage_.listen(seat.name), seat.faults};
        seat.name = carrier.local();
        ReplicaOptions options;
        options.view_service = {views_.local()};
        seat.server = std::make_unique<Server>(KvStore{}, std::move(carrier), std::move(options));
        seat.server->async_run(asio::detached);
    }
    /// As by SIGKILL: its sockets close, and it says nothing to anybody.
    void kill(int n) { seats_.at(n).server.reset(); }
    bool runs(int n) const { return seats_.contains(n) && seats_.at(n).server; }
    Server& server(int n) { return *seats_.at(n).server; }
    const Address& name(int n) const { return seats_.at(n).name; }
    Faults& faults(int n) { return *seats_[n].faults; }
    /// Who has that name; -1 if nobody.
    int number(const Address& name) const {
        for (const auto& [n, seat] : seats_)
            if (seat.name == name) return n;
        return -1;
    }
    int primary() const { return number(view().primary.name); }
    int backup() const { return view().backups.empty() ? -1 : number(view().backups.front().name); }

    /// A tenth of what passes between the server and its clients and peers is lost, in both directions; no ping is.
    void make_unreliable(int n) {
        auto lossy = [this](const Address& peer, std::string_view) {
            return peer != views_.local() && stage_.random() % 10 == 0;
        };
        faults(n).lose_incoming = lossy;
        faults(n).lose_outgoing = lossy;
    }
    /// Nothing passes any more between that party and the view service.
    void cut_from_views(Faults& party) {
        auto lost = [this](const Address& peer, std::string_view) { return peer == views_.local(); };
        party.lose_incoming = lost;
        party.lose_outgoing = lost;
    }

    /// The primary of the view serves in it, and its backup (if `backups` is 1) is in sync and acked.
    bool ready(std::size_t backups) const {
        auto now = view();
        auto n = number(now.primary.name);
        if (now.number == 0 || now.backups.size() != backups || now.synced_count() != backups || !runs(n)) return false;
        const auto& server = *seats_.at(n).server;
        return server.serving() && server.view().view.number == now.number;
    }
    bool wait_ready(std::size_t backups, Duration limit = 4 * D) {
        return stage_.until([this, backups] { return ready(backups); }, limit);
    }

    // ---- clients ----

    Clerk<Carrier>& clerk(int n = 0) {
        auto& [clerk, faults] = clerks_[n];
        if (!clerk) {
            ClerkOptions options;
            options.view_service = {views_.local()};
            options.give_up_after = Duration::max();
            options.resend_after = 100ms;
            clerk = std::make_unique<Clerk<Carrier>>(Carrier{stage_.dial("clerk" + std::to_string(n)), faults}, options);
        }
        return *clerk;
    }
    Faults& clerk_faults(int n) { return *clerks_[n].faults; }

    std::shared_ptr<Ended> put(std::string key, std::string value, int n = 0) {
        auto ended = std::make_shared<Ended>();
        clerk(n).async_put(std::move(key), std::move(value), [ended](std::error_code ec) { *ended = {true, ec, {}}; });
        return ended;
    }
    std::shared_ptr<Ended> append(std::string key, std::string value, int n = 0) {
        auto ended = std::make_shared<Ended>();
        clerk(n).async_append(std::move(key), std::move(value),
                              [ended](std::error_code ec, std::uint64_t) { *ended = {true, ec, {}}; });
        return ended;
    }
    std::shared_ptr<Ended> get(std::string key, int n = 0) {
        auto ended = std::make_shared<Ended>();
        clerk(n).async_get(std::move(key), [ended](std::error_code ec, std::string value) {
            *ended = {true, ec == error::key_not_found ? std::error_code{} : ec, std::move(value)};
        });
        return ended;
    }
    bool finish(const std::shared_ptr<Ended>& call, Duration limit = 60s) {
        return stage_.until([&] { return call->done; }, limit) && !call->ec;
    }

    void must_put(const std::string& key, const std::string& value, int n = 0) { REQUIRE(finish(put(key, value, n))); }
    void must_append(const std::string& key, const std::string& value, int n = 0) { REQUIRE(finish(append(key, value, n))); }
    /// The value; empty if there is none.
    std::string must_get(const std::string& key, int n = 0) {
        auto call = get(key, n);
        REQUIRE(finish(call));
        return call->value;
    }

private:
    struct Seat {
        Address name;
        std::shared_ptr<Faults> faults = std::make_shared<Faults>();
        std::unique_ptr<Server> server;
    };

    struct Desk {
        std::unique_ptr<Clerk<Carrier>> clerk;
        std::shared_ptr<Faults> faults = std::make_shared<Faults>();
    };

    Stage& stage_;
    std::shared_ptr<Faults> view_faults_;
    ViewService<Carrier> views_;
    std::map<int, Seat> seats_;
    std::map<int, Desk> clerks_;
};

}  // namespace understudy::test
