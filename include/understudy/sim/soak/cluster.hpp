// A whole installation in a world: a view service and groups of servers over one Store, and how its processes start,
// die and come back.
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

struct ClusterOptions {
    std::size_t groups = 1;
    std::size_t servers = 3;   ///< In each group.
    ViewOptions view{};        ///< `backups` is k.
    ReplicaOptions replica{};  ///< `group` is filled in, and `view_service` if it is empty.
    Duration store_latency{};  ///< Of the view service's disk.
    std::vector<std::optional<ServerDiskOptions>> disks{};  ///< Of the servers of a group, if they have one.
};

/// What is gone at one blow, by the names of servers.
struct Casualties {
    std::set<std::string> processes{};
    std::set<std::string> disks{};
};

/// With a journal on a simulated disk, or without.
template <Store S>
using Server = PBService<S, SimTransport, OptionalJournal<DiskJournal>>;

/// Parties are called `views`, and `g1.a`, `g1.b`, … in group `g1`.
template <Store S>
class Cluster {
public:
    using Server = sim::Server<S>;
    using Views = ViewService<SimTransport, SimViewStore>;
    /// Told of each event and of who had it.
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

    /// Starts a server, unless it runs: with what its disk keeps, or empty. If the disk is broken that may fail, and
    /// the server stays down.
    void start(const std::string& name) {
        auto& seat = servers_[name];
        if (seat.server) return;
        auto options = options_.replica;
        options.group = group_of(name);
        auto transport = world_.network().transport(name);
        if (seat.disk) {
            try {
                DiskJournal journal{world_, seat.disk, [&](const HardState& found) { reading_ = {name, found}; }};
                reading_ = {name, {}};
                seat.server = std::make_unique<Server>(initial_, std::move(transport), std::move(journal), options,
                                                       observer_of(name));
            } catch (const std::exception& failed) {
                seat.disk->crash_process();
                if (!seat.disk->broken()) note_failure(name, failed.what());
            }
            reading_ = {};
            if (!seat.server) return;
            seat.disk->began(seat.server->status().incarnation);
        } else {
            seat.server = std::make_unique<Server>(initial_, std::move(transport), OptionalJournal<DiskJournal>{},
                                                   options, observer_of(name));
        }
        const auto life = ++seat.life;
        seat.server->async_run([this, name, life, here = std::weak_ptr<bool>{here_}](std::error_code ec) {
            if (!here.expired()) ended(name, life, ec);
        });
    }
    /// The process dies; its kernel closes its sockets and writes what it was given.
    void crash(const std::string& name) {
        end(name, [&] { world_.crash(name); });
    }
    /// The machine dies, also if no server runs there, and nobody is told. Its disk keeps what was synced.
    void power_off(const std::string& name) {
        end(name, [&] { world_.power_off(name); });
        if (auto* disk = disk_of(name)) disk->crash_power();
    }
    /// The same, and the disk is lost too.
    void lose_machine(const std::string& name) {
        end(name, [&] { world_.power_off(name); });
        if (auto* disk = disk_of(name)) disk->replace();
    }

    /// A server's disk, or null if it has none.
    const ServerDisk* disk_of(const std::string& name) const {
        const auto found = servers_.find(name);
        return found == servers_.end() ? nullptr : found->second.disk.get();
    }
    ServerDisk* disk_of(const std::string& name) {
        return const_cast<ServerDisk*>(std::as_const(*this).disk_of(name));
    }
    /// The server that is just being started from its disk, and the last view it was found to know: what is applied
    /// meanwhile by nobody who runs, it applies again.
    const std::pair<std::string, HardState>& reading() const { return reading_; }

    /// Called with each server that is about to die, or has just died, and can still be looked at.
    void on_death(std::function<void(const std::string&, const Server&)> function) { on_death_ = std::move(function); }

    /// A running server, or null.
    const Server* find(const std::string& name) const {
        auto found = servers_.find(name);
        return found == servers_.end() ? nullptr : found->second.server.get();
    }
    Server* find(const std::string& name) { return const_cast<Server*>(std::as_const(*this).find(name)); }
    /// The process that the view names, if it runs.
    const Server* find(const Member& member) const {
        const auto* server = find(member.name);
        return server && server->status().incarnation == member.incarnation ? server : nullptr;
    }
    /// Each server that runs.
    template <typename Function>
    void for_each(Function function) const {
        for (const auto& [name, seat] : servers_)
            if (seat.server) function(name, std::as_const(*seat.server));
    }
    /// The names of all servers, also of those that do not run.
    std::vector<std::string> servers() const {
        std::vector<std::string> names;
        for (const auto& [name, seat] : servers_) names.push_back(name);
        return names;
    }

    // ---- the view service --------------------------------------------------------------------------------

    bool views_run() const { return views_ != nullptr; }
    Views& views() { return *views_; }
    /// What it has stored, which outlives it.
    ViewDisk& disk() { return *disk_; }
    /// The newest view of the group that is stored, and so may be known to others.
    View stored_view(const std::string& group) const {
        auto found = view_service::place_of(group, disk_->record().groups);
        return found != disk_->record().groups.end() && found->info.group == group ? found->info.view : View{};
    }
    /// The newest view that the view service decided, even if nobody can know it yet.
    View view(const std::string& group) const {
        auto stored = stored_view(group);
        if (!views_ || impostor_) return stored;
        auto decided = views_->view(group).view;
        return is_newer(decided, stored) ? decided : stored;
    }
    /// Whether the view service has heard of that life of a server, and will not forget it.
    bool has_heard(const std::string& name, Incarnation life) const {
        for (const auto& group : disk_->record().groups)
            if (auto found = group.lives.find(name); found != group.lives.end())
                return std::ranges::find(found->second, life) != found->second.end();
        return false;
    }
    /// It dies, but its disk lives on: what it was about to store may be there or not.
    void crash_views() {
        if (!views_) return;
        if (!impostor_) disk_->crash(chance_.chance(0.5));
        world_.crash(views_name);
        views_.reset();
        impostor_ = false;
    }
    /// Starts it, where it stood, unless it runs.
    void start_views() {
        if (views_) return;
        if (on_views_start_) on_views_start_(disk_->record());
        views_ = std::make_unique<Views>(world_.network().transport(views_name), SimViewStore{world_, disk_},
                                         options_.view, observer_of(views_name));
        run_views();
    }
    /// Called whenever the view service starts, with what is stored.
    void on_views_start(std::function<void(const view_service::ViewRecord&)> function) {
        on_views_start_ = std::move(function);
    }
    /// Sets what it is to work with when it is started next.
    void set_views(ViewOptions options) { options_.view = options; }
    /// Starts one in its place that belongs to another cluster and has views of our groups with high numbers. They are
    /// full: a server that starts meanwhile, and belongs to nobody yet, would rightly join it. `crash_views` ends it.
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

    /// What made a process end that nobody had killed; empty: none did.
    const std::string& failure() const { return failure_; }

    // ---- whether it is well ------------------------------------------------------------------------------

    /// The group has a primary that serves in the newest view, and as many backups in sync as there can be.
    bool is_well(const std::string& group) const {
        if (!views_ || impostor_) return false;
        const auto info = view(group);
        if (info.number == 0 || info.backups.size() > options_.view.backups ||
            info.synced_count() < std::min(options_.view.backups, options_.servers - 1))
            return false;
        const auto* primary = find(info.primary);
        return primary && primary->serving() && primary->view().view.number == info.number;
    }
    /// Whether the group waits for somebody (R4).
    bool waits(const std::string& group) const {
        if (!views_ || impostor_) return false;
        const auto status = views_->status(group);
        return !status.groups.empty() && !status.groups.front().waiting_for.empty();
    }
    /// Whether every answered write is surely held by somebody who runs, or by a disk from which a server will go on;
    /// now, or after that loss.
    bool is_held(const std::string& group, const Casualties& after = {}) const {
        const auto info = view(group);
        const auto holds = [&](const Member& member) {
            const bool runs = find(member.name) && !after.processes.contains(member.name);
            if (runs && find(member)) return true;
            const auto* disk = disk_of(member.name);
            return !after.disks.contains(member.name) && disk && disk->keeps(member.incarnation) &&
                   (runs || disk->policy().promises());
        };
        return info.number == 0 || holds(info.primary) ||
               std::ranges::any_of(info.backups, [&](const Member& member) { return member.synced && holds(member); });
    }

private:
    struct Seat {
        std::unique_ptr<Server> server;
        std::uint64_t life = 0;
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
        auto& seat = servers_.at(name);
        if (!seat.server) return;
        if (on_death_) on_death_(name, *seat.server);
        death();
        remove(seat);
    }
    void remove(Seat& seat) {
        if (seat.disk) seat.disk->crash_process();
        seat.server.reset();
    }
    /// It was killed as by `World::crash_at_send`, or else gave up by itself, which it should do for its disk alone.
    void ended(const std::string& name, std::uint64_t life, std::error_code ec) {
        auto& seat = servers_.at(name);
        if (seat.life != life || !seat.server) return;
        const bool rightly = ec == error::journal_failed && seat.disk && seat.disk->to_blame();
        if (!rightly) note_failure(name, ec);
        if (on_death_) on_death_(name, *seat.server);
        remove(seat);
    }
    void run_views() {
        views_->async_run([this, life = ++views_life_, here = std::weak_ptr<bool>{here_}](std::error_code ec) {
            if (here.expired() || life != views_life_) return;
            if (!disk_->to_blame()) note_failure(views_name, ec);
            crash_views();  // as by `World::crash_at_send`
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
    std::map<std::string, Seat> servers_;
    std::shared_ptr<ViewDisk> disk_ = std::make_shared<ViewDisk>();
    Random chance_;
    std::unique_ptr<Views> views_;
    std::uint64_t views_life_ = 0;
    bool impostor_ = false;
    std::function<void(const std::string&, const Server&)> on_death_;
    std::function<void(const view_service::ViewRecord&)> on_views_start_;
    std::pair<std::string, HardState> reading_;
    std::string failure_;
    std::shared_ptr<bool> here_ = std::make_shared<bool>(true);
};

}  // namespace understudy::sim
