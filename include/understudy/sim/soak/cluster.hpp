// A whole installation in a simulated world: a view service and groups of servers over one Store. It starts, crashes
// and restarts these processes for the nemesis, and it answers what the checks need to know: which servers run, which
// view is current, which state survives.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <understudy/pb_service.hpp>
#include <understudy/replica/state_machine.hpp>
#include <understudy/sim/disk/journal.hpp>
#include <understudy/sim/disk/server_disk.hpp>
#include <understudy/sim/disk/view_store.hpp>
#include <understudy/sim/world/transport.hpp>
#include <understudy/sim/world/world.hpp>
#include <understudy/view_service.hpp>
#include <understudy/view_service/changes.hpp>
#include <understudy/view_service/state_machine.hpp>

namespace understudy::sim {

/// Size and settings of the installation. Latencies and disks are simulated.
struct ClusterOptions {
    std::size_t groups = 1;
    std::size_t servers = 3;   ///< In each group.
    ViewOptions view{};        ///< `backups` is k.
    ReplicaOptions replica{};  ///< `group` is set per server; `view_service` is set if it is empty.
    Duration store_latency{};  ///< Time of each write to the view service's disk.
    /// Disks of the servers of each group, by the server's number. Servers without an entry have no disk and no
    /// journal.
    std::vector<std::optional<ServerDiskOptions>> disks{};
};

/// Processes and disks that are lost at the same time, by the names of servers.
struct Casualties {
    std::set<std::string> processes{};
    std::set<std::string> disks{};
};

/// A simulated server. It has a journal on a simulated disk if it has a disk, and no journal otherwise.
template <Store S>
using Server = PBService<S, SimTransport, OptionalJournal<DiskJournal>>;

/// The cluster. The view service is called `views`; the groups are `g1`, `g2`, …; the servers of group `g1` are `g1.a`,
/// `g1.b`, …
template <Store S>
class Cluster {
public:
    using Server = sim::Server<S>;
    using Views = ViewService<SimTransport, SimViewStore>;
    /// Called with each event and the name of the node that emitted it.
    using ObserverOf = std::function<void(const std::string& who, const Event&)>;

    static inline const std::string views_name = "views";

    Cluster(World& world, S initial, ClusterOptions options, ObserverOf observer = {})
        : world_{world},
          initial_{std::move(initial)},
          options_{std::move(options)},
          observer_{std::move(observer)},
          chance_{world.random().split("disk")} {
        if (options_.replica.view_service.empty()) options_.replica.view_service = {views_name};
        disk_->set_latency(options_.store_latency);
        start_views();
        for (std::size_t group = 1; group <= options_.groups; ++group) {
            groups_.push_back("g" + std::to_string(group));
            for (std::size_t number = 0; number < options_.servers; ++number) add_server(groups_.back(), number);
        }
    }
    Cluster(const Cluster&) = delete;
    Cluster& operator=(const Cluster&) = delete;

    World& world() { return world_; }
    const ClusterOptions& options() const { return options_; }
    const std::vector<std::string>& groups() const { return groups_; }
    static std::string group_of(const std::string& server) { return server.substr(0, server.find('.')); }

    // ---- servers -----------------------------------------------------------------------------------------

    /// Starts a server, unless it runs. It recovers what its disk has, or starts empty. If the disk is broken the start
    /// may fail; then the server stays down. A failure on a disk that is not broken is recorded in `failure()`.
    void start(const std::string& name) {
        auto& host = servers_[name];
        if (host.server) return;
        auto options = options_.replica;
        options.group = group_of(name);
        auto transport = world_.network().transport(name);
        if (host.disk) {
            try {
                // The server applies recovered entries in its constructor, before `find` can return it. Meanwhile
                // `reading_` names it.
                DiskJournal journal{world_, host.disk, [&](const HardState& found) { reading_ = {name, found}; }};
                reading_ = {name, {}};
                host.server = std::make_unique<Server>(initial_, std::move(transport), std::move(journal), options,
                                                       observer_of(name));
            } catch (const std::exception& failed) {
                host.disk->crash_process();
                if (!host.disk->broken()) note_failure(name, failed.what());
            }
            reading_ = {};
            if (!host.server) return;
            host.disk->began(host.server->status().incarnation);
        } else {
            host.server = std::make_unique<Server>(initial_, std::move(transport), OptionalJournal<DiskJournal>{},
                                                   options, observer_of(name));
        }
        // The completion handler may run after this object is destroyed, or after the server was replaced: it checks
        // both.
        const auto generation = ++host.generation;
        host.server->async_run([this, name, generation, here = std::weak_ptr<bool>{here_}](std::error_code ec) {
            if (!here.expired()) ended(name, generation, ec);
        });
    }
    /// Kills the process. The kernel goes on: it closes the sockets, so peers notice, and it keeps the data that the
    /// process has written, so only a power cut can lose it.
    void crash(const std::string& name) {
        end(name, [&] { world_.crash(name); });
    }
    /// Cuts the machine's power, even if no server runs there. No peer notices, since no socket is closed. The disk
    /// keeps what was synced.
    void power_off(const std::string& name) {
        end(name, [&] { world_.power_off(name); });
        if (auto* disk = disk_of(name)) disk->crash_power();
    }
    /// Like `power_off`, and the machine comes back with an empty disk.
    void lose_machine(const std::string& name) {
        end(name, [&] { world_.power_off(name); });
        if (auto* disk = disk_of(name)) disk->replace();
    }

    /// The server's disk, or null if it has none.
    const ServerDisk* disk_of(const std::string& name) const {
        const auto found = servers_.find(name);
        return found == servers_.end() ? nullptr : found->second.disk.get();
    }
    ServerDisk* disk_of(const std::string& name) {
        return const_cast<ServerDisk*>(std::as_const(*this).disk_of(name));
    }
    /// The server that is recovering from its disk at this moment, and the hard state found there. Its name is empty
    /// otherwise. An entry that is applied now by no running server is one that this server applies again.
    const std::pair<std::string, HardState>& reading() const { return reading_; }

    /// Sets a function that is called with each server shortly before or after it dies, while its state can still be
    /// read.
    void on_death(std::function<void(const std::string&, const Server&)> function) { on_death_ = std::move(function); }

    /// The running server with this name, or null.
    const Server* find(const std::string& name) const {
        auto found = servers_.find(name);
        return found == servers_.end() ? nullptr : found->second.server.get();
    }
    Server* find(const std::string& name) { return const_cast<Server*>(std::as_const(*this).find(name)); }
    /// The running server with this name and this incarnation, or null.
    const Server* find(const Member& member) const {
        const auto* server = find(member.name);
        return server && server->status().incarnation == member.incarnation ? server : nullptr;
    }
    /// Calls `function(name, server)` for each running server.
    template <typename Function>
    void for_each(Function function) const {
        for (const auto& [name, host] : servers_)
            if (host.server) function(name, std::as_const(*host.server));
    }
    /// The names of all servers, running or not.
    std::vector<std::string> servers() const {
        std::vector<std::string> names;
        for (const auto& [name, host] : servers_) names.push_back(name);
        return names;
    }

    // ---- the view service --------------------------------------------------------------------------------

    bool views_run() const { return views_ != nullptr; }
    Views& views() { return *views_; }
    /// The view service's disk. It exists also while the view service is down.
    ViewDisk& disk() { return *disk_; }
    /// The newest stored view of the group. Other nodes may know it, because a view is announced after it is stored.
    View stored_view(const std::string& group) const {
        auto found = view_service::place_of(group, disk_->record().groups);
        return found != disk_->record().groups.end() && found->info.group == group ? found->info.view : View{};
    }
    /// The newest view that the view service decided. It may not be stored yet, and then no other node knows it.
    View view(const std::string& group) const {
        auto stored = stored_view(group);
        // The impostor's views are not those of this cluster.
        if (!views_ || impostor_) return stored;
        auto decided = views_->view(group).view;
        return is_newer(decided, stored) ? decided : stored;
    }
    /// Whether the view service has stored this incarnation of a server in its record. Then it knows it after a restart
    /// too.
    bool has_heard(const std::string& name, Incarnation generation) const {
        for (const auto& group : disk_->record().groups)
            if (auto found = group.incarnations.find(name); found != group.incarnations.end())
                return std::ranges::find(found->second, generation) != found->second.end();
        return false;
    }
    /// Kills the view service. Its disk survives; a write that is under way is done or not done, by chance.
    void crash_views() {
        if (!views_) return;
        if (!impostor_) disk_->crash(chance_.chance(0.5));
        world_.crash(views_name);
        views_.reset();
        impostor_ = false;
    }
    /// Starts the view service from its disk, unless it runs.
    void start_views() {
        if (views_) return;
        if (on_views_start_) on_views_start_(disk_->record());
        views_ = std::make_unique<Views>(world_.network().transport(views_name), SimViewStore{world_, disk_},
                                         options_.view, observer_of(views_name));
        run_views();
    }
    /// Sets a function that is called with the stored record whenever the view service starts.
    void on_views_start(std::function<void(const view_service::ViewRecord&)> function) {
        on_views_start_ = std::move(function);
    }
    /// Sets the options that the view service gets at its next start.
    void set_views(ViewOptions options) { options_.view = options; }
    /// Starts an impostor at the view service's address: a view service of another cluster, whose record has views of
    /// the same group names with high numbers. Servers and clients must refuse it. `crash_views` ends it.
    ///
    /// It accepts no further server (`max_servers` is 1). Otherwise a server without a cluster that starts meanwhile
    /// would join the impostor, and that would be correct.
    void start_impostor() {
        if (views_) return;
        impostor_ = true;
        auto options = options_.view;
        options.max_servers = 1;
        view_service::ViewRecord other{ClusterId{world_.random().split("impostor")() | 1}, options.dead_after(), {}};
        const View view{1'000'000, {"nobody", Incarnation{1}, false}, {}, 0};
        for (const auto& group : groups_)
            other.groups.push_back({{group, other.cluster, options.ping_interval, view}, {}});
        SimViewStore store{world_, std::make_shared<ViewDisk>(std::move(other))};
        views_ = std::make_unique<Views>(world_.network().transport(views_name), std::move(store), options);
        run_views();
    }

    /// Why a process ended although it was not killed; empty if none did.
    const std::string& failure() const { return failure_; }

    // ---- health ------------------------------------------------------------------------------------------

    /// Whether the group has a primary that serves in the newest view, and k synced backups, or all other servers if
    /// there are fewer than k.
    bool is_well(const std::string& group) const {
        if (!views_ || impostor_) return false;
        const auto info = view(group);
        if (info.number == 0 || info.backups.size() > options_.view.backups ||
            info.synced_count() < std::min(options_.view.backups, options_.servers - 1))
            return false;
        const auto* primary = find(info.primary);
        return primary && primary->serving() && primary->view().view.number == info.number;
    }
    /// Whether the group waits for a member to return with its state (R4).
    bool waits(const std::string& group) const {
        if (!views_ || impostor_) return false;
        const auto status = views_->status(group);
        return !status.groups.empty() && !status.groups.front().waiting_for.empty();
    }
    /// Whether every answered write is certain to survive: on a running member that the view names, or on a disk from
    /// which its server will recover. With `after`: whether that is still true once these processes and disks are lost.
    bool is_held(const std::string& group, const Casualties& after = {}) const {
        const auto info = view(group);
        const auto holds = [&](const Member& member) {
            const bool runs = find(member.name) && !after.processes.contains(member.name);
            if (runs && find(member)) return true;
            const auto* disk = disk_of(member.name);
            // A disk counts for a server that is down only if the next incarnation runs under a policy that waits for
            // syncs; for one that runs, its own policy was checked by `keeps`.
            return !after.disks.contains(member.name) && disk && disk->keeps(member.incarnation) &&
                   (runs || disk->policy().promises());
        };
        return info.number == 0 || holds(info.primary) ||
               std::ranges::any_of(info.backups, [&](const Member& member) { return member.synced && holds(member); });
    }

private:
    struct MemberState {
        std::unique_ptr<Server> server;
        std::uint64_t generation = 0;
        std::shared_ptr<ServerDisk> disk;
    };

    void add_server(const std::string& group, std::size_t number) {
        const auto name = group + "." + std::string(1, static_cast<char>('a' + number));
        if (number < options_.disks.size() && options_.disks[number])
            servers_[name].disk = std::make_shared<ServerDisk>(*options_.disks[number], chance_.split(name));
        start(name);
    }

    template <typename Death>
    void end(const std::string& name, Death death) {
        auto& host = servers_.at(name);
        if (!host.server) return;
        if (on_death_) on_death_(name, *host.server);
        death();
        remove(host);
    }
    void remove(MemberState& host) {
        if (host.disk) host.disk->crash_process();
        host.server.reset();
    }
    /// The server's run has ended. Either the world killed it (`World::crash_at_send`), or it stopped by itself. It may
    /// stop by itself only because its disk failed; anything else is recorded as a failure.
    void ended(const std::string& name, std::uint64_t generation, std::error_code ec) {
        auto& host = servers_.at(name);
        if (host.generation != generation || !host.server) return;
        const bool rightly = ec == error::journal_failed && host.disk && host.disk->to_blame();
        if (!rightly) note_failure(name, ec);
        if (on_death_) on_death_(name, *host.server);
        remove(host);
    }
    void run_views() {
        views_->async_run(
            [this, generation = ++views_generation_, here = std::weak_ptr<bool>{here_}](std::error_code ec) {
                if (here.expired() || generation != views_generation_) return;
                if (!disk_->to_blame()) note_failure(views_name, ec);
                crash_views();  // the world killed it (`World::crash_at_send`)
            });
    }
    void note_failure(const std::string& name, std::error_code ec) {
        if (ec && ec != error::closed) note_failure(name, "it ended by itself: " + ec.message());
    }
    void note_failure(const std::string& name, const std::string& what) {
        if (failure_.empty()) failure_ = name + ": " + what;
    }
    Observer observer_of(const std::string& name) const {
        if (!observer_) return {};
        return [this, name](const Event& event) { observer_(name, event); };
    }

    World& world_;
    S initial_;
    ClusterOptions options_;
    ObserverOf observer_;
    std::vector<std::string> groups_;
    std::map<std::string, MemberState> servers_;
    std::shared_ptr<ViewDisk> disk_ = std::make_shared<ViewDisk>();
    Random chance_;
    std::unique_ptr<Views> views_;
    std::uint64_t views_generation_ = 0;
    bool impostor_ = false;
    std::function<void(const std::string&, const Server&)> on_death_;
    std::function<void(const view_service::ViewRecord&)> on_views_start_;
    std::pair<std::string, HardState> reading_;
    std::string failure_;
    std::shared_ptr<bool> here_ = std::make_shared<bool>(true);
};

}  // namespace understudy::sim
