// The disk of a simulated machine: files in one directory, process crashes, power cuts, and injected faults. It lets
// tests check the journal against everything that a POSIX file system may do.
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

/// An injected fault: an operation that fails. A sync that fails loses the data that was not written yet: a later sync
/// succeeds without writing it.
struct DiskFault {
    std::optional<DiskOperation> operation{};  ///< No value: any operation.
    std::uint64_t nth = 1;                     ///< The n-th matching operation from now on.
    int cause = EIO;                           ///< The `errno` of the failure.
    std::size_t written = 0;                   ///< Bytes of a failing append that are written.
    bool lasting = false;                      ///< All later matching operations fail too.
};

/// The disk itself. It outlives the processes that use it, each through its own `Disk`. It stores the directory twice:
/// as processes see it, and as it is on stable storage.
class Storage {
public:
    using Files = std::map<std::string, std::shared_ptr<StoredFile>>;

    /// `sector_bytes` is the unit that a power cut keeps or loses.
    explicit Storage(std::size_t sector_bytes = 512) : sector_bytes_{sector_bytes} {}
    Storage(const Storage&) = delete;
    Storage& operator=(const Storage&) = delete;

    // ---- what happens to it ------------------------------------------------------------------------------

    /// The process dies: its `Disk` stops working, its data stays in the page cache. Injected faults are removed.
    void crash_process() {
        ++generation_;
        locked_ = false;
        faults_.clear();
    }
    /// A power cut: a random part of the unsynced changes is lost, in files and in the directory. O(bytes).
    void crash_power(Random& random) {
        crash_process();
        for (const auto& change : std::exchange(pending_, {}))
            if (random.chance(0.5)) apply(change, stable_);
        seen_ = stable_;
        for (const auto& [name, file] : seen_) file->crash_power(random);
    }
    /// The disk is lost and replaced by an empty one.
    void replace() {
        crash_process();
        seen_.clear();
        stable_.clear();
        pending_.clear();
        read_only_ = false;
    }
    /// Injects a fault, in addition to those that are pending.
    void inject(DiskFault fault) { faults_.push_back(fault); }
    /// Removes the injected faults.
    void forget_faults() { faults_.clear(); }
    /// Makes changes fail with `EROFS`, like a file system that was remounted read-only because of errors.
    void set_read_only(bool read_only) { read_only_ = read_only; }
    /// Overwrites a part of a file, in the page cache and on stable storage. Throws `std::system_error` if there is no
    /// such file.
    void corrupt(const std::string& name, std::size_t offset, std::string_view bytes) {
        find(name, "corrupt").corrupt(offset, bytes);
    }

    /// The files as processes see them. Reading them here counts as no operation and never fails.
    const Files& files() const { return seen_; }
    /// The number of operations so far.
    std::uint64_t operations() const { return operations_; }
    /// The number of bytes appended so far.
    std::uint64_t written() const { return written_; }

    // ---- for Disk ----------------------------------------------------------------------------------------

    /// The number of the process that uses the disk; `crash_process` ends it.
    using Generation = std::uint64_t;
    Generation generation() const { return generation_; }

    /// Locks the directory for one process. Throws `std::system_error` (`EBUSY`) if it is locked.
    void lock() {
        if (locked_) journal::fail_disk("lock (is another server using the directory?)", "lock", EBUSY);
        locked_ = true;
    }
    void unlock(Generation generation) {
        if (generation == generation_) locked_ = false;
    }

    /// Counts an operation of a process. Returns the fault if the operation has to fail.
    std::optional<DiskFault> begin(DiskOperation operation, Generation generation) {
        ++operations_;
        // an object of a dead process still calls
        if (generation != generation_) return DiskFault{operation, 1, EBADF};
        std::optional<DiskFault> due;
        if (read_only_ && changes_something(operation)) due = DiskFault{operation, 1, EROFS};
        std::erase_if(faults_, [&](DiskFault& fault) {
            if (fault.operation && fault.operation != operation) return false;
            if (fault.nth > 1) return --fault.nth, false;
            if (!due) due = fault;
            fault.written = 0;  // a lasting fault writes a part of the first append only
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
    /// Makes all changes of the directory stable. It does not sync the content of the files.
    void sync_directory() {
        stable_ = seen_;
        pending_.clear();
    }

private:
    /// A change of the directory: a name is removed (`goes`), a name is added (`comes`), or both at once for a rename.
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
    std::vector<Change> pending_;  // changes that `stable_` lacks, oldest first
    std::vector<DiskFault> faults_;
    std::uint64_t operations_ = 0;
    std::uint64_t written_ = 0;
    Generation generation_ = 1;
    bool locked_ = false;
    bool read_only_ = false;
};

}  // namespace understudy::sim
