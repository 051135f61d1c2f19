// The disk of a simulated server's machine, across all incarnations of the server: its storage, its latency and faults,
// and which incarnations' state a later incarnation can recover. The checks use the last part to decide whether a
// recovery (R5) or a wait (R4) is right.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <optional>
#include <vector>

#include <understudy/journal/sync_policy.hpp>
#include <understudy/sim/disk/storage.hpp>
#include <understudy/sim/world/random.hpp>
#include <understudy/view.hpp>

namespace understudy::sim {

using namespace std::chrono_literals;

/// Settings of a simulated disk.
struct ServerDiskOptions {
    journal::SyncPolicy sync{};               ///< Sync policy of the first incarnation.
    double changes = 0;                       ///< Probability that the next incarnation gets a new random policy.
    std::uint64_t segment_bytes = 64u << 20;  ///< Size of a segment file of the journal.
    Duration latency_least = 100us;           ///< Least time of a sync.
    Duration latency_most = 30ms;             ///< Longest time of a normal sync; uniform between both.
    double stalls = 0.002;                    ///< Probability that a sync stalls.
    Duration stall_most = 1s;                 ///< Longest time of a sync that stalls.
};

/// Draws a sync policy that confirms data before it is on stable storage.
inline journal::SyncPolicy draw_lax_policy(Random& random) {
    return random.chance(0.5) ? journal::SyncPolicy::never() : journal::SyncPolicy::every(random.between(10ms, 2s));
}

/// How a disk fails.
///  - `write`: a write fails;
///  - `room`: the disk is full, a write is done in part only;
///  - `sync`: a sync fails and loses the data that it had to write;
///  - `read_only`: everything that would change the disk fails;
///  - `power`: any operation fails, and the following crash is a power cut. So it also hits a creation, a rename or a
///    removal half-way.
enum class ServerDiskFault : std::uint8_t { write, room, sync, read_only, power };
inline constexpr std::uint64_t server_disk_faults = 5;

/// Counts of what has happened to disks.
struct DiskCounts {
    std::uint64_t power_cuts = 0, replaced = 0;
    std::uint64_t restarts = 0;   ///< Incarnations that started on a used disk.
    std::uint64_t failures = 0;   ///< Journals that failed.
    std::uint64_t snapshots = 0;  ///< Snapshots written to journals.

    DiskCounts& operator+=(const DiskCounts& more) {
        power_cuts += more.power_cuts;
        replaced += more.replaced;
        restarts += more.restarts;
        failures += more.failures;
        snapshots += more.snapshots;
        return *this;
    }
};

/// The disk of one server. See the top of the file.
class ServerDisk {
public:
    ServerDisk(ServerDiskOptions options, Random random) : options_{options}, random_{random}, next_{options.sync} {}
    ServerDisk(const ServerDisk&) = delete;
    ServerDisk& operator=(const ServerDisk&) = delete;

    const ServerDiskOptions& options() const { return options_; }
    const DiskCounts& counts() const { return counts_; }
    Storage& storage() { return storage_; }

    // ---- what happens to it ------------------------------------------------------------------------------

    /// The server's process dies. After the fault `power` this is a power cut.
    void crash_process() {
        if (to_blame_ && fault_ == ServerDiskFault::power) return crash_power();
        storage_.crash_process();
        to_blame_ = false;
    }
    /// The machine loses power. If the present incarnation had not synced, its note of which incarnations it continues
    /// may be lost too.
    void crash_power() {
        ++counts_.power_cuts;
        storage_.crash_power(random_);
        if (!processes_.empty() && !processes_.back().synced) processes_.back().noted = false;
        to_blame_ = false;
    }
    /// The machine and its disk are lost; the next incarnation gets an empty disk.
    void replace() {
        ++counts_.replaced;
        storage_.replace();
        to_blame_ = false;
        ++number_;
    }
    /// The disk begins to fail: `write`, `room`, `sync` and `power` at the `nth` matching operation from now on,
    /// `read_only` at once.
    void begin(ServerDiskFault fault, std::uint64_t nth) {
        broken_ = true;
        fault_ = fault;
        switch (fault) {
            case ServerDiskFault::write: return storage_.inject({DiskOperation::append, nth, EIO, 0, true});
            case ServerDiskFault::room: return storage_.inject({DiskOperation::append, nth, ENOSPC, 20, true});
            case ServerDiskFault::sync: return storage_.inject({DiskOperation::sync, nth, EIO, 0, false});
            case ServerDiskFault::read_only: return storage_.set_read_only(true);
            case ServerDiskFault::power: return storage_.inject({std::nullopt, nth, EIO, 0, true});
        }
    }
    /// The disk works again.
    void end_fault() {
        broken_ = false;
        storage_.forget_faults();
        storage_.set_read_only(false);
    }
    /// Whether a fault is active, so that operations may fail.
    bool broken() const { return broken_; }
    /// Records that a journal has failed on this disk.
    void blame() {
        ++counts_.failures;
        to_blame_ = broken_;
    }
    /// Whether the present process had a failure while a fault was active. If not, a failed journal is an error of the
    /// library.
    bool to_blame() const { return to_blame_; }

    /// From now on each sync takes at least `least`, plus `per_kib` for each KiB written since the sync before.
    void slow_down(Duration least, Duration per_kib = {}) {
        least_ = least;
        per_kib_ = per_kib;
    }
    /// From now on no sync stalls.
    void calm_down() { stalls_ = false; }
    /// Draws the time of the next sync.
    Duration draw_latency() {
        const bool stalls = random_.chance(options_.stalls) && stalls_;
        const auto most = stalls ? options_.stall_most : options_.latency_most;
        const auto latency = std::max(random_.between(options_.latency_least, most), least_);
        const auto written = storage_.written() - written_;
        written_ = storage_.written();
        return latency + per_kib_ * static_cast<Duration::rep>(written / 1024);
    }
    std::uint64_t draw_salt() { return random_(); }
    void count_snapshot() { ++counts_.snapshots; }

    // ---- which state can be recovered --------------------------------------------------------------------

    /// The sync policy of the next incarnation.
    const journal::SyncPolicy& policy() const { return next_; }
    /// Sets the sync policy of the next incarnation.
    void set_policy(journal::SyncPolicy policy) { next_ = policy; }

    /// Records that an incarnation has started on this disk, with the policy set for it. May draw another policy for
    /// the next one.
    void began(Incarnation incarnation) {
        counts_.restarts +=
            std::ranges::any_of(processes_, [&](const Process& other) { return other.disk == number_; });
        processes_.push_back({incarnation, number_, next_.promises()});
        if (!random_.chance(options_.changes)) return;
        next_ = random_.below(3) == 0 ? journal::SyncPolicy::always() : draw_lax_policy(random_);
    }
    /// The present incarnation has written its hard state, which names the incarnations that the next one may continue
    /// (S9).
    void noted() {
        if (!processes_.empty()) processes_.back().noted = true;
    }
    /// Everything that the present incarnation has written is on stable storage.
    void synced() {
        if (!processes_.empty()) processes_.back().synced = processes_.back().noted;
    }

    /// Whether the newest incarnation can recover everything that incarnation `incarnation` has confirmed as persisted,
    /// and will announce that. The next incarnation can do so too if its `policy` waits for syncs. True if the disk is
    /// the same and no incarnation since has used another policy.
    bool keeps(Incarnation incarnation) const {
        const auto found = find(incarnation);
        return found != processes_.end() && found->disk == number_ &&
               std::all_of(found, processes_.end(), [](const Process& one) { return one.promises; });
    }
    /// Whether incarnation `later` may rightly have announced that it continues `incarnation` (R5, S9). An incarnation
    /// between them whose policy does not wait for syncs ends the chain. Exception: if a power cut may have erased all
    /// traces of it, `later` does not know of it; the state of `incarnation` is on the disk all the same.
    bool continues(Incarnation later, Incarnation incarnation) const {
        const auto from = find(incarnation), to = find(later);
        return from < to && to != processes_.end() && from->disk == to->disk && from->promises && to->promises &&
               std::none_of(from, to, [](const Process& one) { return !one.promises && one.noted; });
    }

private:
    struct Process {
        Incarnation incarnation{};
        std::uint64_t disk = 0;
        bool promises = false;
        bool noted = false;   // its hard state is certain to be on the disk
        bool synced = false;  // a power cut cannot remove that
    };
    std::vector<Process>::const_iterator find(Incarnation incarnation) const {
        return std::ranges::find(processes_, incarnation, &Process::incarnation);
    }

    ServerDiskOptions options_;
    Random random_;
    Storage storage_;
    DiskCounts counts_;
    std::uint64_t number_ = 1;  // counts the disks that the machine has had
    std::vector<Process> processes_;   // oldest first
    journal::SyncPolicy next_;
    Duration least_{}, per_kib_{};
    std::uint64_t written_ = 0;  // bytes written before the last sync
    bool stalls_ = true;
    ServerDiskFault fault_{};  // the latest fault
    bool broken_ = false;
    bool to_blame_ = false;
};

}  // namespace understudy::sim
