// The file operations of one simulated process on the disk of its machine (storage.hpp). It is the `journal::Disk` with
// which the real journal code runs in a simulation.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/journal/disk.hpp>
#include <understudy/sim/disk/storage.hpp>

namespace understudy::sim {

/// A process's access to the storage of its machine. The storage must outlive it. Copies share one lock on the
/// directory, which lasts until the last copy is destroyed or the process crashes. After a crash every operation fails
/// with `EBADF`.
class Disk {
    class Process;

public:
    class File;

    /// Throws `std::system_error` if another `Disk` of the storage is in use.
    explicit Disk(Storage& storage) : process_{std::make_shared<Process>(storage)} {}

    std::string path(const std::string& name) const { return name; }
    std::vector<std::string> list() const {
        process_->begin(DiskOperation::list, "list the directory");
        std::vector<std::string> names;
        for (const auto& [name, file] : process_->storage.files()) names.push_back(name);
        return names;
    }
    std::uint64_t size(const std::string& name) const {
        process_->begin(DiskOperation::size, "examine", name);
        return process_->storage.find(name, "examine").content().size();
    }
    std::string read(const std::string& name, std::uint64_t offset, std::size_t most) const {
        process_->begin(DiskOperation::read, "read", name);
        const auto& content = process_->storage.find(name, "open").content();
        return offset < content.size() ? content.substr(static_cast<std::size_t>(offset), most) : std::string{};
    }
    File create(const std::string& name, std::size_t step);
    void rename(const std::string& from, const std::string& to) {
        process_->begin(DiskOperation::rename, "rename to " + to, from);
        process_->storage.rename(from, to);
    }
    void remove(const std::string& name) {
        process_->begin(DiskOperation::remove, "remove", name);
        process_->storage.remove(name);
    }
    void sync_directory() {
        process_->begin(DiskOperation::sync_directory, "sync the directory");
        process_->storage.sync_directory();
    }

private:
    /// The lock on the directory, and the number of the process for which the operations are counted.
    class Process {
    public:
        explicit Process(Storage& disk) : storage{disk} {
            storage.lock();
            generation_ = storage.generation();
        }
        Process(const Process&) = delete;
        Process& operator=(const Process&) = delete;
        ~Process() { storage.unlock(generation_); }

        /// Starts an operation. Throws `std::system_error` if a fault is due; before that, `effect(fault)` applies what
        /// the failing operation still does, unless the process is dead.
        template <typename Effect>
        void begin(DiskOperation operation, const std::string& what, const std::string& name, Effect effect) {
            const auto fault = storage.begin(operation, generation_);
            if (!fault) return;
            if (storage.generation() == generation_) effect(*fault);
            journal::fail_disk(what, name, fault->cause);
        }
        void begin(DiskOperation operation, const std::string& what, const std::string& name = {}) {
            begin(operation, what, name, [](const DiskFault&) {});
        }

        Storage& storage;

    private:
        Storage::Generation generation_ = 0;
    };

    std::shared_ptr<Process> process_;
};

/// See `journal::DiskFile`.
class Disk::File {
public:
    File(std::shared_ptr<Process> process, std::shared_ptr<StoredFile> file, std::string name, std::size_t step)
        : process_{std::move(process)}, file_{std::move(file)}, name_{std::move(name)}, step_{step} {}

    /// Appends, and grows the file in steps of zeros ahead of the data, as the real journal does, so that recovery
    /// meets such a tail.
    void append(std::string_view bytes) {
        process_->begin(DiskOperation::append, "write", name_, [&](const DiskFault& fault) {
            file_->write(end_, bytes.substr(0, file_->writable_part(end_, std::min(fault.written, bytes.size()))));
        });
        process_->storage.count_append(bytes.size());
        file_->write(end_, bytes);
        end_ += bytes.size();
        if (step_ == 0 || end_ <= grown_) return;
        grown_ = (end_ / step_ + 1) * step_;
        file_->write(end_, std::string(grown_ - end_, '\0'));
    }
    void sync() {
        process_->begin(DiskOperation::sync, "sync", name_, [&](const DiskFault&) { file_->fail_to_sync(); });
        file_->sync();
    }
    void renamed(const std::string& name) { name_ = name; }
    /// Cuts off the zeros behind the data.
    void close() {
        process_->begin(DiskOperation::close, "truncate", name_);
        if (grown_ > end_) file_->truncate(end_);
    }

private:
    std::shared_ptr<Process> process_;
    std::shared_ptr<StoredFile> file_;
    std::string name_;
    std::size_t step_;
    std::size_t end_ = 0;    // end of the appended data
    std::size_t grown_ = 0;  // the file has zeros up to here
};

inline Disk::File Disk::create(const std::string& name, std::size_t step) {
    process_->begin(DiskOperation::create, "create", name);
    return {process_, process_->storage.create(name), name, step};
}

static_assert(journal::Disk<Disk>);

}  // namespace understudy::sim
