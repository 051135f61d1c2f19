// A view service, servers and clerks on one harness, and what a test does to them: kill, restart, disconnect, wait.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <system_error>

#include <doctest/doctest.h>

#include <tests/support/harness.hpp>
#include <understudy/options.hpp>
#include <understudy/view.hpp>

namespace understudy::test {

using namespace std::chrono_literals;

inline constexpr Duration I = 100ms;  // the ping interval
inline constexpr Duration D = 5 * I;

/// How a call ended.
struct Ended {
    bool done = false;
    std::error_code ec;
    std::string value;
    explicit operator bool() const { return done && !ec; }
};

/// Only the source file names the types of services and clients, so they are compiled once for all scenarios.
class Cluster {
public:
    explicit Cluster(Harness& harness, Reads reads = Reads::confirm);
    ~Cluster();

    Harness& harness() { return harness_; }
    Faults& view_faults();
    View view() const;

    // ---- servers ----

    /// Starts server `n` without state, under the name that it had before.
    void start(int n);
    /// Like SIGKILL: the server's sockets close, and it sends nothing more.
    void kill(int n);
    /// Whether the server runs and serves as primary.
    bool serves(int n) const;
    Faults& faults(int n);
    /// The view's primary, and its first backup; -1 if there is none.
    int primary() const;
    int backup() const;

    /// Loses a tenth of the messages between the server and its clients and peers, in both directions. Pings are not
    /// lost.
    void make_unreliable(int n);
    /// Stops all messages between that node and the view service.
    void cut_from_views(Faults& node);

    /// The primary of the view serves in it, and its backup (if `backups` is 1) is in sync and acked.
    bool ready(std::size_t backups) const;
    bool wait_ready(std::size_t backups, Duration limit = 4 * D) {
        return harness_.until([this, backups] { return ready(backups); }, limit);
    }

    // ---- clients ----

    Faults& clerk_faults(int n);

    std::shared_ptr<Ended> put(std::string key, std::string value, int n = 0);
    std::shared_ptr<Ended> append(std::string key, std::string value, int n = 0);
    std::shared_ptr<Ended> get(std::string key, int n = 0);
    bool finish(const std::shared_ptr<Ended>& call, Duration limit = 60s) {
        return harness_.until([&] { return call->done; }, limit) && !call->ec;
    }

    void must_put(const std::string& key, const std::string& value, int n = 0) { REQUIRE(finish(put(key, value, n))); }
    void must_append(const std::string& key, const std::string& value, int n = 0) {
        REQUIRE(finish(append(key, value, n)));
    }
    /// The value; empty if there is none.
    std::string must_get(const std::string& key, int n = 0) {
        auto call = get(key, n);
        REQUIRE(finish(call));
        return call->value;
    }

private:
    struct Parts;

    Harness& harness_;
    Reads reads_;
    std::unique_ptr<Parts> parts_;
};

}  // namespace understudy::test
