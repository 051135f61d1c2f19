// The storage of a simulated view service: a disk that survives its crashes, and that can be slow, fail, or be changed
// by another process. It tests that the view service announces nothing before it is stored.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include <asio/async_result.hpp>
#include <asio/awaitable.hpp>
#include <asio/use_awaitable.hpp>

#include <understudy/async/completion_handler.hpp>
#include <understudy/sim/world/world.hpp>
#include <understudy/view_service/changes.hpp>
#include <understudy/view_store.hpp>

namespace understudy::sim {

/// How the disk treats a write: it works; it fails and nothing is written; it fails although the record is written.
enum class DiskHealth { good, fails_before, fails_after };

/// The disk: one record with a version, used by the successive incarnations of a view service.
class ViewDisk {
public:
    explicit ViewDisk(view_service::ViewRecord record = {}) : record_{std::move(record)} {
        version_ = record_.cluster == ClusterId::none ? 0 : 1;
    }

    const view_service::ViewRecord& record() const { return record_; }
    std::uint64_t version() const { return version_; }

    /// Sets how long each call takes from now on. A write takes effect after half of this time, so a crash can come
    /// before or after it.
    void set_latency(Duration latency) { latency_ = latency; }
    void set_health(DiskHealth health) { health_ = health; }
    /// Another process writes to the record, if there is one: its version changes, so the next compare-and-set fails.
    void write_elsewhere() {
        if (version_ == 0) return;
        ++version_;
        taken_ = true;
    }
    /// Replaces the record by another one, for example an older copy. Call it while no view service runs.
    void put_back(view_service::ViewRecord record) {
        record_ = std::move(record);
        ++version_;
    }
    /// Deletes the record.
    void lose() {
        record_ = {};
        version_ = 0;
    }
    /// Whether a view service may rightly have ended with an error of its store.
    bool to_blame() const { return health_ != DiskHealth::good || taken_; }

    /// The process dies. A write under way is done now (`done`) or never.
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

    /// Does the write under way. Returns false if there is none or its expected version is not the present one.
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
    std::optional<Set> set_;  // the write under way
    std::uint64_t life_ = 0;  // number of the process that uses the disk
    Duration latency_{};
    DiskHealth health_ = DiskHealth::good;
    bool taken_ = false;
};

/// A ViewStore on a `ViewDisk`, for one incarnation of a view service. After a crash of the disk's process its
/// operations fail.
class SimViewStore {
public:
    SimViewStore(World& world, std::shared_ptr<ViewDisk> disk)
        : world_{&world}, disk_{std::move(disk)}, life_{disk_->life_} {}

    /// Loads the record and its version; no value if there is none. Throws `std::system_error` (`io_error`) on a disk
    /// fault.
    asio::awaitable<std::optional<StoredViews>> async_load() {
        co_await pass(disk_->latency_);
        if (died() || disk_->health_ != DiskHealth::good) fail();
        disk_->taken_ = false;
        if (disk_->version_ == 0) co_return std::nullopt;
        co_return StoredViews{disk_->version_, disk_->record_};
    }
    /// Writes `changes` if the version is still `expected`. Returns whether it did. Throws `std::system_error`
    /// (`io_error`) on a disk fault; then it is unknown whether the write was done.
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

    /// Initiates a wait in virtual time.
    struct Wait {
        World* world;
        Duration length;
        template <typename Handler>
        void operator()(Handler handler) const {
            using CompletionHandler = understudy::detail::CompletionHandler<bool>;
            auto waiting = std::make_shared<CompletionHandler>(std::move(handler), world->get_executor(),
                                                        [](std::error_code&, bool) {});
            world->at(after(world->now(), length),
                      [waiting, world = world] { waiting->post(world->get_executor(), {}, true); });
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
