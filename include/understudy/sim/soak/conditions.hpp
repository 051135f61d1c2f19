// The drawn conditions of a run: the size of the cluster, its bounds and disks, the speed of its store, and how its
// clients behave. Each seed gets different conditions, so that unusual settings are tested together with faults.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <understudy/sim/disk/server_disk.hpp>
#include <understudy/sim/soak/cluster.hpp>
#include <understudy/sim/soak/simulated_clients.hpp>
#include <understudy/sim/soak/run_limits.hpp>
#include <understudy/sim/world/links.hpp>
#include <understudy/sim/world/random.hpp>

namespace understudy::sim {

/// Everything about a run that is drawn before it starts, except the faults.
struct Conditions {
    ClusterOptions cluster{};
    std::size_t clients = 1;       ///< Per group.
    bool without_session = false;  ///< Clients of the last group use no sessions (C5).
    std::vector<ClientProfile> profile{};  ///< Client number n has profile n modulo the size.
    LinkQuality calm{};            ///< Link quality while no fault is active.
    Duration apply{};              ///< Time that the store takes per entry.
    Duration slow_apply{};         ///< Time for a slow entry.
    std::uint64_t slow_each = 0;   ///< One entry in this many is slow. 0: none.

    /// The time to apply this entry. It depends on the entry only, so an expensive command is slow on every server.
    Duration takes(const Entry& entry) const {
        const bool slow = slow_each != 0 && mix(entry.at.index, entry.command) % slow_each == 0;
        return slow ? slow_apply : apply;
    }
};

namespace detail {

template <typename T, std::size_t N>
T draw(Random& random, const std::array<T, N>& values) {
    return values[static_cast<std::size_t>(random.below(N))];
}

/// Draws the bounds of the replicas: in 40% of the runs mostly the defaults, otherwise bounds so small that a run
/// reaches each of them now and then. They are not smaller still: a transfer with one round trip per entry is correct,
/// but recovery would take longer than a run waits.
inline ReplicaOptions draw_bounds(Random& random) {
    ReplicaOptions options;
    options.session_ttl = draw(random, std::array<Duration, 3>{12s, 30s, 10min});
    options.reads = draw(random, std::array{Reads::confirm, Reads::lease});
    if (random.chance(0.4)) return options;
    options.log_bytes = draw(random, std::array<std::size_t, 4>{100, 3'000, 30'000, 1 << 20});
    options.transfer_log_bytes = draw(random, std::array<std::size_t, 3>{2'000, 20'000, 1 << 20});
    options.append_bytes = draw(random, std::array<std::size_t, 3>{200, 1'000, 10'000});
    options.window_bytes = options.append_bytes * draw(random, std::array<std::size_t, 3>{2, 8, 100});
    options.chunk_bytes = draw(random, std::array<std::size_t, 3>{200, 1'000, 10'000});
    options.chunk_window = 1 + random.below(4);
    options.max_command = draw(random, std::array<std::size_t, 2>{2'000, 1 << 20});
    options.max_calls = draw(random, std::array<std::size_t, 3>{4, 32, 1'000});
    options.max_calls_per_peer = draw(random, std::array<std::size_t, 3>{1, 8, 1'000});
    options.max_call_bytes = draw(random, std::array<std::size_t, 2>{2'000, 1 << 20});
    options.max_sessions = draw(random, std::array<std::size_t, 3>{3, 30, 1'000});
    options.max_results = draw(random, std::array<std::size_t, 2>{4, 1'000});
    options.max_sessions_per_peer = draw(random, std::array<std::size_t, 2>{30, 1'000});
    options.max_result_bytes = draw(random, std::array<std::size_t, 2>{64u << 10, 64u << 20});
    options.transfer_ttl = draw(random, std::array<Duration, 2>{300ms, 10s});
    return options;
}

inline ClientProfile draw_profile(Random& random) {
    ClientProfile profile;
    profile.think = draw(random, std::array<Duration, 4>{20ms, 50ms, 100ms, 300ms});
    profile.at_once = draw(random, std::array<std::size_t, 4>{1, 2, 8, 30});
    profile.timeout_least = draw(random, std::array<Duration, 2>{100ms, 1s});
    profile.timeout_most = draw(random, std::array<Duration, 3>{1s, 4s, 10s});
    profile.dumps = draw(random, std::array{0.0, 0.01, 0.1});
    profile.options.give_up_after = profile.timeout_most;
    profile.death = draw(random, std::array{0.0, 0.0, 0.002, 0.01});
    profile.options.resend_after = draw(random, std::array<Duration, 3>{100ms, 300ms, 1s});
    profile.options.retry_last = draw(random, std::array<Duration, 2>{100ms, 1s});
    profile.options.window = draw(random, std::array<std::size_t, 3>{1, 4, 1'024});
    profile.options.max_calls = draw(random, std::array<std::size_t, 2>{6, 1'000});
    return profile;
}

/// Draws the disks. In most runs every server has a disk and waits for each sync before it confirms. In some runs only
/// some servers have a disk, or some servers do not wait for syncs, or the sync policy changes at a restart.
inline void draw_disks(Random& random, ClusterOptions& cluster) {
    ServerDiskOptions disk;
    disk.segment_bytes = draw(random, std::array<std::uint64_t, 3>{1'000, 20'000, 64u << 20});
    disk.latency_most = draw(random, std::array<Duration, 3>{1ms, 10ms, 30ms});
    disk.stalls = draw(random, std::array{0.0, 0.002, 0.02});
    disk.stall_most = 2 * cluster.view.dead_after();
    cluster.replica.journal_bytes = draw(random, std::array<std::size_t, 3>{500, 10'000, 200'000});
    disk.changes = random.chance(0.15) ? 0.3 : 0;
    const double have = random.chance(0.2) ? 0.6 : 1, promise = random.chance(0.2) ? 0.5 : 1;
    for (std::size_t number = 0; number < cluster.servers; ++number) {
        cluster.disks.emplace_back();
        if (!random.chance(have)) continue;
        disk.sync = random.chance(promise) ? journal::SyncPolicy::always() : draw_lax_policy(random);
        cluster.disks.back() = disk;
    }
}

}  // namespace detail

/// Draws the conditions of a run from `random`, within the caller's limits. The order of the draws is part of what a
/// seed means: a new draw belongs at the end or on a generator of its own (`split`).
inline Conditions draw_conditions(Random random, const RunLimits& limits) {
    Conditions conditions;
    auto& cluster = conditions.cluster;
    cluster.groups = random.chance(0.2) ? 2 : 1;
    conditions.without_session = cluster.groups == 2 && random.chance(0.5);
    cluster.view.backups = detail::draw(random, std::array<std::size_t, 6>{1, 1, 1, 2, 2, 3});
    cluster.servers = cluster.view.backups + 1 + random.below(3);
    cluster.replica = detail::draw_bounds(random);
    cluster.replica.min_in_sync = random.chance(0.25) ? 1 : 0;
    if (random.chance(0.25)) cluster.replica.view_service = {"nobody", "views"};
    conditions.clients = std::min<std::size_t>(limits.clients, 2 + random.below(4));
    for (std::size_t number = 0; number < 3; ++number) conditions.profile.push_back(detail::draw_profile(random));
    if (random.chance(0.3)) conditions.calm.latency_most = detail::draw(random, std::array<Duration, 2>{5ms, 20ms});
    cluster.store_latency = detail::draw(random, std::array<Duration, 4>{0ms, 1ms, 5ms, 50ms});
    const bool disks = random.chance(0.5);
    auto flow = random.split("flow");
    if (flow.chance(0.3)) cluster.replica.answer_bytes = detail::draw(flow, std::array<std::size_t, 2>{100, 1'000});
    if (limits.disks == Disks::always || (limits.disks == Disks::drawn && disks)) detail::draw_disks(random, cluster);
    if (random.chance(0.3)) {
        conditions.apply = detail::draw(random, std::array<Duration, 3>{50us, 300us, 1ms});
        conditions.slow_apply = detail::draw(random, std::array<Duration, 3>{20ms, 100ms, 400ms});
        conditions.slow_each = conditions.slow_apply == 400ms ? 500 : 100;
    }
    return conditions;
}

}  // namespace understudy::sim
