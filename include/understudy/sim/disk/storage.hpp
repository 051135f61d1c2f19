// What a simulated machine has on its disk: files in one directory, crashes, and faults that tests ask for.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/base/check.hpp>
#include <understudy/journal/disk.hpp>
#include <understudy/sim/disk/stored_file.hpp>
#include <understudy/sim/world/random.hpp>

namespace understudy::sim {

enum class DiskOperation { list, size, read, create, append, sync, close, rename, remove, sync_directory };

/// An operation that is to fail. A sync that fails loses what was not written yet: a later one succeeds without it.
struct DiskFault {
    std::optional<DiskOperation> operation{};  ///< Nothing: any.
    std::uint64_t nth = 1;                     ///< Of those from now on.
    int cause = EIO;                           ///< An `errno`.
    std::size_t written = 0;                   ///< So many bytes of an append are written before it fails.
    bool lasting = false;                      ///< All that follow fail too.
};

/// Outlives the processes that use it, each by a `Disk` of its own.
class Storage {
public:
    using Files = std::map<std::string, std::shared_ptr<StoredFile>>;

    /// A power cut keeps or loses whole sectors.
    explicit Storage(std::size_t sector_bytes = 512) : sector_bytes_{sector_bytes} {}
    Storage(const Storage&) = delete;
    Storage& operator=(const Storage&) = delete;

    // ---- what happens to it ------------------------------------------------------------------------------

    /// The process dies: its `Disk` is no more, what it wrote stays. Faults that were asked for are forgotten.
    void crash_process() {
        ++life_;
        locked_ = false;
        faults_.clear();
    }
    /// The machine dies: any part of what was not synced is lost, in files and in the directory. O(bytes).
    void crash_power(Random& random) {
        crash_process();
        for (const auto& change : std::exchange(pending_, {}))
            if (random.chance(0.5)) apply(change, stable_);
        seen_ = stable_;
        for (const auto& [name, file] : seen_) file->crash_power(random);
    }
    /// The disk itself is lost with the machine: an empty one takes its place.
    void replace() {
        crash_process();
        seen_.clear();
        stable_.clear();
        pending_.clear();
        read_only_ = false;
    }
    void inject(DiskFault fault) { faults_.push_back(fault); }
    /// Faults that were asked for will not happen.
    void forget_faults() { faults_.clear(); }
    /// Like a file system that was mounted anew because of errors.
    void set_read_only(bool read_only) { read_only_ = read_only; }
    /// Overwrites a part of a file, also on the medium.
    void corrupt(const std::string& name, std::size_t offset, std::string_view bytes) {
        find(name, "corrupt").corrupt(offset, bytes);
    }

    /// What processes see, for looking at it without an operation.
    const Files& files() const { return seen_; }
    /// How many operations there were.
    std::uint64_t operations() const { return operations_; }
    /// The bytes of all appends.
    std::uint64_t written() const { return written_; }

    // ---- for Disk ----------------------------------------------------------------------------------------

    /// Ends when the process that began it dies.
    using Life = std::uint64_t;
    Life life() const { return life_; }

    void lock() {
        if (locked_) journal::fail_disk("lock (is another server using the directory?)", "lock", EBUSY);
        locked_ = true;
    }
    void unlock(Life life) {
        if (life == life_) locked_ = false;
    }

    /// Counts an operation of a process, and gives the fault if it is to fail.
    std::optional<DiskFault> begin(DiskOperation operation, Life life) {
        ++operations_;
        if (life != life_) return DiskFault{operation, 1, EBADF};  // by the remains of a process that is dead
        std::optional<DiskFault> due;
        if (read_only_ && changes_something(operation)) due = DiskFault{operation, 1, EROFS};
        std::erase_if(faults_, [&](DiskFault& fault) {
            if (fault.operation && fault.operation != operation) return false;
            if (fault.nth > 1) return --fault.nth, false;
            if (!due) due = fault;
            fault.written = 0;  // if it lasts, no part of the next append
            return !fault.lasting;
        });
        return due;
    }

    void count_append(std::size_t bytes) { written_ += bytes; }
    StoredFile& find(const std::string& name, const char* operation) const { return *share(name, operation); }
    std::shared_ptr<StoredFile> create(const std::string& name) {
        if (seen_.contains(name)) journal::fail_disk("create", name, EEXIST);
        auto file = std::make_shared<StoredFile>(sector_bytes_);
        change({name, file, {}});
        return file;
    }
    void rename(const std::string& from, const std::string& to) { change({to, share(from, "rename"), from}); }
    void remove(const std::string& name) {
        share(name, "remove");
        change({{}, nullptr, name});
    }
    void sync_directory() {
        stable_ = seen_;
        pending_.clear();
    }

private:
    /// Of the directory: one name goes, another comes, or one of the two.
    struct Change {
        std::string comes;
        std::shared_ptr<StoredFile> file;
        std::string goes;
    };

    static bool changes_something(DiskOperation operation) {
        using enum DiskOperation;
        return operation == create || operation == append || operation == close || operation == rename ||
               operation == remove;
    }

    std::shared_ptr<StoredFile> share(const std::string& name, const char* operation) const {
        const auto found = seen_.find(name);
        if (found == seen_.end()) journal::fail_disk(operation, name, ENOENT);
        return found->second;
    }
    void change(Change change) {
        apply(change, seen_);
        pending_.push_back(std::move(change));
    }
    static void apply(const Change& change, Files& files) {
        files.erase(change.goes);
        if (change.file) files[change.comes] = change.file;
    }

    std::size_t sector_bytes_;
    Files seen_;
    Files stable_;                 // the directory on stable storage
    std::vector<Change> pending_;  // what it lacks, oldest first
    std::vector<DiskFault> faults_;
    std::uint64_t operations_ = 0;
    std::uint64_t written_ = 0;
    Life life_ = 1;
    bool locked_ = false;
    bool read_only_ = false;
};

}  // namespace understudy::sim
