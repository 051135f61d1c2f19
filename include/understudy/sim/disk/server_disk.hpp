// The disk of a simulated server's machine, over all lives of the server: what is stored, how slow it is, and whose
// state a later life can go on from.
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

struct ServerDiskOptions {
    journal::SyncPolicy sync{};               ///< Of the first life.
    double changes = 0;                       ///< So many of the later ones begin under a policy that is drawn anew.
    std::uint64_t segment_bytes = 64u << 20;  ///< Of the journal's files.
    Duration latency_least = 100us;           ///< Of a sync,
    Duration latency_most = 30ms;             ///< evenly distributed;
    double stalls = 0.002;                    ///< but so many of them take
    Duration stall_most = 1s;                 ///< up to that.
};

/// One of those that do not wait for the disk.
inline journal::SyncPolicy draw_lax_policy(Random& random) {
    return random.chance(0.5) ? journal::SyncPolicy::never() : journal::SyncPolicy::every(random.between(10ms, 2s));
}

/// What a broken disk does: it throws at a write; has room for a part of one only; throws at a sync and forgets what it
/// was to write; throws at all that would change something; throws at whatever is asked, and then the machine has no
/// power: in the midst of a new file, a renaming, a removal.
enum class ServerDiskTrouble : std::uint8_t { write, room, sync, read_only, power };
inline constexpr std::uint64_t server_disk_troubles = 5;

/// What disks have been through.
struct DiskCounts {
    std::uint64_t power_cuts = 0, replaced = 0;
    std::uint64_t restarts = 0;   ///< Lives that began with what a former one had left there.
    std::uint64_t failures = 0;   ///< Journals that ended for it.
    std::uint64_t snapshots = 0;  ///< That journals got, of either kind.

    DiskCounts& operator+=(const DiskCounts& more) {
        power_cuts += more.power_cuts;
        replaced += more.replaced;
        restarts += more.restarts;
        failures += more.failures;
        snapshots += more.snapshots;
        return *this;
    }
};

class ServerDisk {
public:
    ServerDisk(ServerDiskOptions options, Random random) : options_{options}, random_{random}, next_{options.sync} {}
    ServerDisk(const ServerDisk&) = delete;
    ServerDisk& operator=(const ServerDisk&) = delete;

    const ServerDiskOptions& options() const { return options_; }
    const DiskCounts& counts() const { return counts_; }
    Storage& storage() { return storage_; }

    // ---- what happens to it ------------------------------------------------------------------------------

    void crash_process() {
        if (to_blame_ && trouble_ == ServerDiskTrouble::power) return crash_power();
        storage_.crash_process();
        to_blame_ = false;
    }
    void crash_power() {
        ++counts_.power_cuts;
        storage_.crash_power(random_);
        if (!lives_.empty() && !lives_.back().synced) lives_.back().noted = false;
        to_blame_ = false;
    }
    /// The machine dies, and comes back with an empty disk.
    void replace() {
        ++counts_.replaced;
        storage_.replace();
        to_blame_ = false;
        ++number_;
    }
    /// From the `nth` write, sync or operation from now on, where it is one of these.
    void begin(ServerDiskTrouble trouble, std::uint64_t nth) {
        broken_ = true;
        trouble_ = trouble;
        switch (trouble) {
            case ServerDiskTrouble::write: return storage_.inject({DiskOperation::append, nth, EIO, 0, true});
            case ServerDiskTrouble::room: return storage_.inject({DiskOperation::append, nth, ENOSPC, 20, true});
            case ServerDiskTrouble::sync: return storage_.inject({DiskOperation::sync, nth, EIO, 0, false});
            case ServerDiskTrouble::read_only: return storage_.set_read_only(true);
            case ServerDiskTrouble::power: return storage_.inject({std::nullopt, nth, EIO, 0, true});
        }
    }
    void end_trouble() {
        broken_ = false;
        storage_.forget_faults();
        storage_.set_read_only(false);
    }
    /// Whether it may fail now.
    bool broken() const { return broken_; }
    /// A journal says that this failed.
    void blame() {
        ++counts_.failures;
        to_blame_ = broken_;
    }
    /// Whether the present process has met with trouble that there was.
    bool to_blame() const { return to_blame_; }

    /// Each sync takes at least so long from now on, and so much more for each KiB written since the one before.
    void slow_down(Duration least, Duration per_kib = {}) {
        least_ = least;
        per_kib_ = per_kib;
    }
    /// No sync stalls any more.
    void calm_down() { stalls_ = false; }
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

    // ---- whose state it holds ----------------------------------------------------------------------------

    /// The policy of the next life.
    const journal::SyncPolicy& policy() const { return next_; }
    /// An operator will start the next life with another one.
    void set_policy(journal::SyncPolicy policy) { next_ = policy; }

    /// A life begins whose journal is here, under the policy that there was for it.
    void began(Incarnation life) {
        counts_.restarts += std::ranges::any_of(lives_, [&](const Life& other) { return other.disk == number_; });
        lives_.push_back({life, number_, next_.promises()});
        if (!random_.chance(options_.changes)) return;
        next_ = random_.below(3) == 0 ? journal::SyncPolicy::always() : draw_lax_policy(random_);
    }
    /// The present life has written which lives the next one may continue.
    void noted() {
        if (!lives_.empty()) lives_.back().noted = true;
    }
    /// All that the present life has written is on stable storage.
    void synced() {
        if (!lives_.empty()) lives_.back().synced = lives_.back().noted;
    }

    /// Whether the last life that began can, and will say so, go on from all that this one called persisted. The next
    /// one can too if its `policy` promises.
    bool keeps(Incarnation life) const {
        const auto found = find(life);
        return found != lives_.end() && found->disk == number_ &&
               std::all_of(found, lives_.end(), [](const Life& one) { return one.promises; });
    }
    /// Whether `later` may have said that it continues `life`. One between them that did not wait for the disk ends
    /// that, unless a power cut may have taken back that there was such a life: what `life` held is there all the same.
    bool continues(Incarnation later, Incarnation life) const {
        const auto from = find(life), to = find(later);
        return from < to && to != lives_.end() && from->disk == to->disk && from->promises && to->promises &&
               std::none_of(from, to, [](const Life& one) { return !one.promises && one.noted; });
    }

private:
    struct Life {
        Incarnation incarnation{};
        std::uint64_t disk = 0;
        bool promises = false;
        bool noted = false;   // what it has said of itself is surely there,
        bool synced = false;  // and no power cut can take that back
    };
    std::vector<Life>::const_iterator find(Incarnation life) const {
        return std::ranges::find(lives_, life, &Life::incarnation);
    }

    ServerDiskOptions options_;
    Random random_;
    Storage storage_;
    DiskCounts counts_;
    std::uint64_t number_ = 1;  // of the disk, of those that the machine had
    std::vector<Life> lives_;   // oldest first
    journal::SyncPolicy next_;
    Duration least_{}, per_kib_{};
    std::uint64_t written_ = 0;  // before the last sync
    bool stalls_ = true;
    ServerDiskTrouble trouble_{};  // the last one
    bool broken_ = false;
    bool to_blame_ = false;
};

}  // namespace understudy::sim
