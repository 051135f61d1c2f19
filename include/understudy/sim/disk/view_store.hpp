// What outlives a simulated view service: a disk in virtual time that answers late, fails, or is written to by others.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include <asio/async_result.hpp>
#include <asio/awaitable.hpp>
#include <asio/use_awaitable.hpp>

#include <understudy/async/completion.hpp>
#include <understudy/sim/world/world.hpp>
#include <understudy/view_service/changes.hpp>
#include <understudy/view_store.hpp>

namespace understudy::sim {

/// How a disk treats a set: as it should, or it fails, the set done or not.
enum class DiskHealth { good, fails_before, fails_after };

/// Holds a record for the stores of a view service's lives, one after the other.
class ViewDisk {
public:
    explicit ViewDisk(view_service::ViewRecord record = {}) : record_{std::move(record)} {
        version_ = record_.cluster == ClusterId::none ? 0 : 1;
    }

    const view_service::ViewRecord& record() const { return record_; }
    std::uint64_t version() const { return version_; }

    /// How long each call takes from now on; a set is done in the middle of it.
    void set_latency(Duration latency) { latency_ = latency; }
    void set_health(DiskHealth health) { health_ = health; }
    /// Somebody else writes what it holds, if it holds something.
    void write_elsewhere() {
        if (version_ == 0) return;
        ++version_;
        taken_ = true;
    }
    /// Somebody puts back what it held once, while no process uses it.
    void put_back(view_service::ViewRecord record) {
        record_ = std::move(record);
        ++version_;
    }
    /// All that it held is gone.
    void lose() {
        record_ = {};
        version_ = 0;
    }
    /// Whether a view service rightly ended with an error of its store.
    bool to_blame() const { return health_ != DiskHealth::good || taken_; }

    /// The process dies. A set that was under way was done, or never will be.
    void crash(bool done) {
        if (done) finish();
        set_.reset();
        ++life_;
    }

private:
    friend class SimViewStore;

    struct Set {
        std::uint64_t expected = 0;
        view_service::ViewChanges changes;
    };

    /// Does the set that is under way.
    bool finish() {
        if (!set_) return false;
        const auto set = *std::exchange(set_, {});
        if (set.expected != version_) return false;
        apply(record_, set.changes);
        ++version_;
        return true;
    }

    view_service::ViewRecord record_;
    std::uint64_t version_ = 0;
    std::optional<Set> set_;  // under way
    std::uint64_t life_ = 0;  // of the process that uses it
    Duration latency_{};
    DiskHealth health_ = DiskHealth::good;
    bool taken_ = false;
};

/// A ViewStore on a disk, for one life of a view service.
class SimViewStore {
public:
    SimViewStore(World& world, std::shared_ptr<ViewDisk> disk)
        : world_{&world}, disk_{std::move(disk)}, life_{disk_->life_} {}

    asio::awaitable<std::optional<StoredViews>> async_load() {
        co_await pass(disk_->latency_);
        if (died() || disk_->health_ != DiskHealth::good) fail();
        disk_->taken_ = false;
        if (disk_->version_ == 0) co_return std::nullopt;
        co_return StoredViews{disk_->version_, disk_->record_};
    }
    asio::awaitable<bool> async_compare_and_set(std::uint64_t expected, view_service::ViewChanges changes) {
        disk_->set_ = ViewDisk::Set{expected, std::move(changes)};
        co_await pass(disk_->latency_ / 2);
        if (died()) fail();
        const bool done = disk_->health_ != DiskHealth::fails_before && disk_->finish();
        co_await pass(disk_->latency_ - disk_->latency_ / 2);
        if (disk_->health_ != DiskHealth::good) fail();
        co_return done;
    }

private:
    bool died() const { return life_ != disk_->life_; }

    struct Wait {
        World* world;
        Duration length;
        template <typename Handler>
        void operator()(Handler handler) const {
            using Completion = understudy::detail::Completion<bool>;
            auto waiting = std::make_shared<Completion>(std::move(handler), world->get_executor(),
                                                        [](std::error_code&, bool) {});
            world->at(after(world->now(), length), [waiting] { waiting->post({}, true); });
        }
    };

    asio::awaitable<void> pass(Duration length) {
        if (length > Duration{})
            co_await asio::async_initiate<const asio::use_awaitable_t<>, void(std::error_code)>(Wait{world_, length},
                                                                                               asio::use_awaitable);
    }
    [[noreturn]] static void fail() {
        throw std::system_error{std::make_error_code(std::errc::io_error), "the simulated disk"};
    }

    World* world_;
    std::shared_ptr<ViewDisk> disk_;
    std::uint64_t life_;
};
static_assert(ViewStore<SimViewStore>);

}  // namespace understudy::sim
