// The only source file that compiles the services and clients of the scenarios.
#include <tests/support/cluster.hpp>

#include <map>
#include <utility>

#include <asio/detached.hpp>

#include <understudy/clerk.hpp>
#include <understudy/understudy.hpp>

namespace understudy::test {

using namespace view_service;

struct Cluster::Parts {
    using Carrier = FaultyTransport;

    struct Seat {
        Address name;
        std::shared_ptr<Faults> faults = std::make_shared<Faults>();
        std::unique_ptr<PBService<KvStore, Carrier>> server;
    };
    struct Fixture {
        std::unique_ptr<Clerk<Carrier>> clerk;
        std::shared_ptr<Faults> faults = std::make_shared<Faults>();
    };

    explicit Parts(Harness& world) : harness{world}, views{harness.listen(harness.address("views"), view_faults)} {
        views.async_run(asio::detached);
    }

    /// The number of the server with that name; -1 if there is none.
    int number(const Address& name) const {
        for (const auto& [n, seat] : seats)
            if (seat.name == name) return n;
        return -1;
    }
    const PBService<KvStore, Carrier>* server(int n) const {
        auto found = seats.find(n);
        return found == seats.end() ? nullptr : found->second.server.get();
    }
    Clerk<Carrier>& clerk(int n) {
        auto& [clerk, faults] = clerks[n];
        if (!clerk) {
            ClientOptions options;
            options.view_service = {views.local()};
            options.give_up_after = Duration::max();
            options.resend_after = 100ms;
            clerk = std::make_unique<Clerk<Carrier>>(harness.dial("clerk" + std::to_string(n), faults), options);
        }
        return *clerk;
    }

    Harness& harness;
    std::shared_ptr<Faults> view_faults = std::make_shared<Faults>();
    ViewService<Carrier> views;
    std::map<int, Seat> seats;
    std::map<int, Fixture> clerks;
};

Cluster::Cluster(Harness& harness, Reads reads)
    : harness_{harness}, reads_{reads}, parts_{std::make_unique<Parts>(harness)} {}
Cluster::~Cluster() = default;

View Cluster::view() const { return parts_->views.view().view; }
Faults& Cluster::view_faults() { return *parts_->view_faults; }
Faults& Cluster::faults(int n) { return *parts_->seats[n].faults; }
Faults& Cluster::clerk_faults(int n) { return *parts_->clerks[n].faults; }

// ---- servers ----

void Cluster::start(int n) {
    auto& seat = parts_->seats[n];
    if (seat.name.empty()) seat.name = harness_.address("server" + std::to_string(n));
    auto carrier = harness_.listen(seat.name, seat.faults);
    seat.name = carrier.local();
    ReplicaOptions options;
    options.view_service = {parts_->views.local()};
    options.reads = reads_;
    seat.server =
        std::make_unique<PBService<KvStore, Parts::Carrier>>(KvStore{}, std::move(carrier), std::move(options));
    seat.server->async_run(asio::detached);
}

void Cluster::kill(int n) { parts_->seats.at(n).server.reset(); }

bool Cluster::serves(int n) const {
    const auto* server = parts_->server(n);
    return server && server->serving();
}

int Cluster::primary() const { return parts_->number(view().primary.name); }

int Cluster::backup() const {
    const auto now = view();
    return now.backups.empty() ? -1 : parts_->number(now.backups.front().name);
}

void Cluster::make_unreliable(int n) {
    auto lossy = [this](const Address& peer, std::string_view) {
        return peer != parts_->views.local() && harness_.random() % 10 == 0;
    };
    faults(n).lose_incoming = lossy;
    faults(n).lose_outgoing = lossy;
}

void Cluster::cut_from_views(Faults& node) {
    auto lost = [this](const Address& peer, std::string_view) { return peer == parts_->views.local(); };
    node.lose_incoming = lost;
    node.lose_outgoing = lost;
}

bool Cluster::ready(std::size_t backups) const {
    const auto now = view();
    const auto n = parts_->number(now.primary.name);
    if (now.number == 0 || now.backups.size() != backups || now.synced_count() != backups) return false;
    return serves(n) && parts_->server(n)->view().view.number == now.number;
}

// ---- clients ----

std::shared_ptr<Ended> Cluster::put(std::string key, std::string value, int n) {
    auto ended = std::make_shared<Ended>();
    parts_->clerk(n).async_put(std::move(key), std::move(value), [ended](std::error_code ec) {
        *ended = {true, ec, {}};
    });
    return ended;
}

std::shared_ptr<Ended> Cluster::append(std::string key, std::string value, int n) {
    auto ended = std::make_shared<Ended>();
    parts_->clerk(n).async_append(std::move(key), std::move(value), [ended](std::error_code ec, std::uint64_t) {
        *ended = {true, ec, {}};
    });
    return ended;
}

std::shared_ptr<Ended> Cluster::get(std::string key, int n) {
    auto ended = std::make_shared<Ended>();
    parts_->clerk(n).async_get(std::move(key), [ended](std::error_code ec, std::string value) {
        *ended = {true, ec == error::key_not_found ? std::error_code{} : ec, std::move(value)};
    });
    return ended;
}

}  // namespace understudy::test
