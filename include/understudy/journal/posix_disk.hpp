// The implementation of `Disk` on a directory of a POSIX file system.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/base/descriptor.hpp>
#include <understudy/journal/disk.hpp>

namespace understudy::journal {

namespace detail {

using understudy::detail::Descriptor;

/// Repeats a system call while it fails with EINTR.
template <typename Call>
auto uninterrupted(Call call) {
    auto result = call();
    while (result < 0 && errno == EINTR) result = call();
    return result;
}

/// Brings a file's data and size to stable storage. On macOS fsync does not flush the drive's cache; F_FULLFSYNC does.
inline int sync_data(int file) {
#ifdef __APPLE__
    return uninterrupted([&] { return ::fcntl(file, F_FULLFSYNC); });
#else
    return uninterrupted([&] { return ::fdatasync(file); });
#endif
}

}  // namespace detail

/// Called when a file cannot be opened because the process or the system has no descriptor left, which may be
/// temporary. It waits a little and returns whether to try again. `what` is the operation with its path; `tries` is the
/// number of earlier calls for it. After a retry has succeeded it is called with an empty `what`; then the result is
/// ignored.
using Shortage = std::function<bool(const std::string& what, int tries)>;

/// The default `Shortage`: retries for 5 s, every 20 ms. Blocks the thread.
inline bool wait_for_descriptors(const std::string& what, int tries) {
    constexpr int each_ms = 20, most = 250;
    if (what.empty() || tries >= most) return false;
    ::poll(nullptr, 0, each_ms);
    return true;
}

/// A file of a `PosixDisk`; see `DiskFile`.
class PosixFile {
public:
    PosixFile(detail::Descriptor file, std::string path, std::size_t step)
        : file_{std::move(file)}, path_{std::move(path)}, step_{step} {}

    void append(std::string_view bytes) {
        write(bytes, end_);
        end_ += bytes.size();
        if (step_ > 0 && end_ > grown_) grow();
    }
    void sync() {
        if (detail::sync_data(file_.get()) != 0) fail_disk("sync", path_, errno);
    }
    void renamed(const std::string& name) { path_.replace(path_.rfind('/') + 1, path_.npos, name); }
    void close() {
        if (grown_ > end_ &&
            detail::uninterrupted([&] { return ::ftruncate(file_.get(), static_cast<off_t>(end_)); }) != 0)
            fail_disk("truncate", path_, errno);
        file_.reset();
    }

private:
    void write(std::string_view bytes, std::uint64_t at) {
        while (!bytes.empty()) {
            const auto written = detail::uninterrupted(
                [&] { return ::pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(at)); });
            if (written < 0) fail_disk("write", path_, errno);
            bytes.remove_prefix(static_cast<std::size_t>(written));
            at += static_cast<std::uint64_t>(written);
        }
    }
    /// Writes zeros ahead of the appended bytes, up to the next multiple of `step`. A later sync then changes neither
    /// the file's size nor its block map, so it writes the data only, and not the journal of the file system. Reserving
    /// the space (fallocate) would not be enough: the file system would have to mark the blocks as written.
    void grow() {
        grown_ = (end_ / step_ + 1) * step_;
        write(std::string(static_cast<std::size_t>(grown_ - end_), '\0'), end_);
    }

    detail::Descriptor file_;
    std::string path_;
    std::size_t step_;
    std::uint64_t end_ = 0;    // the end of the appended bytes
    std::uint64_t grown_ = 0;  // the file is filled with zeros up to here
};

/// A directory as a `Disk`. Files are readable by their owner only, and their descriptors are closed on exec.
class PosixDisk {
public:
    using File = PosixFile;

    /// Opens the directory, or creates it if its parent exists, and locks the file `lock` in it. Throws
    /// `std::system_error`: `device_or_resource_busy` if another object holds the lock, in this process or another one.
    /// Opening is tried again, as `shortage` says, if there is no descriptor left; no other failure is tried again.
    explicit PosixDisk(std::string directory, Shortage shortage = wait_for_descriptors)
        : path_{std::move(directory)}, shortage_{std::move(shortage)} {
        if (::mkdir(path_.c_str(), 0700) != 0 && errno != EEXIST) fail_disk("create directory", path_, errno);
        sync_parent();  // also if the directory existed: the process that created it may have died before its sync
        directory_ = open_directory(AT_FDCWD, path_, path_);
        lock_ = open_at("lock", O_RDWR | O_CREAT, "open");
        if (detail::uninterrupted([&] { return ::flock(lock_.get(), LOCK_EX | LOCK_NB); }) != 0)
            fail_disk("lock (is another server using the directory?)", path("lock"),
                      errno == EWOULDBLOCK ? EBUSY : errno);
    }

    std::string path(const std::string& name) const { return path_ + "/" + name; }

    std::vector<std::string> list() const {
        const auto failed = [&] { fail_disk("list", path_, errno); };
        auto descriptor = open_directory(directory_.get(), ".", path_);
        const std::unique_ptr<DIR, int (*)(DIR*)> stream{::fdopendir(descriptor.get()), &::closedir};
        if (!stream) failed();
        descriptor.release();
        std::vector<std::string> names;
        errno = 0;
        for (const dirent* entry; (entry = ::readdir(stream.get())) != nullptr; errno = 0)
            if (const std::string name{entry->d_name}; name != "." && name != ".." && name != "lock")
                names.push_back(name);
        if (errno != 0) failed();
        std::sort(names.begin(), names.end());
        return names;
    }

    std::uint64_t size(const std::string& name) const {
        struct stat found {};
        if (::fstatat(directory_.get(), name.c_str(), &found, 0) != 0) fail_disk("examine", path(name), errno);
        return static_cast<std::uint64_t>(found.st_size);
    }

    std::string read(const std::string& name, std::uint64_t offset, std::size_t most) const {
        const auto file = open_at(name, O_RDONLY, "open");
        std::string bytes(most, '\0');
        std::size_t filled = 0;
        while (filled < most) {
            const auto got = detail::uninterrupted([&] {
                return ::pread(file.get(), bytes.data() + filled, most - filled, static_cast<off_t>(offset + filled));
            });
            if (got < 0) fail_disk("read", path(name), errno);
            if (got == 0) break;
            filled += static_cast<std::size_t>(got);
        }
        bytes.resize(filled);
        return bytes;
    }

    PosixFile create(const std::string& name, std::size_t step) {
        return {open_at(name, O_WRONLY | O_CREAT | O_EXCL, "create"), path(name), step};
    }
    void rename(const std::string& from, const std::string& to) {
        if (::renameat(directory_.get(), from.c_str(), directory_.get(), to.c_str()) != 0)
            fail_disk("rename to " + to, path(from), errno);
    }
    void remove(const std::string& name) {
        if (::unlinkat(directory_.get(), name.c_str(), 0) != 0) fail_disk("remove", path(name), errno);
    }
    void sync_directory() { sync(directory_, path_); }

private:
    detail::Descriptor open_directory(int from, const std::string& name, const std::string& path) const {
        return open(from, name, O_RDONLY | O_DIRECTORY, "open directory", path);
    }
    detail::Descriptor open_at(const std::string& name, int flags, const char* operation) const {
        return open(directory_.get(), name, flags | O_NOFOLLOW, operation, path(name));
    }
    detail::Descriptor open(int from, const std::string& name, int flags, const char* operation,
                            const std::string& path) const {
        for (int tries = 0;; ++tries) {
            detail::Descriptor file{
                detail::uninterrupted([&] { return ::openat(from, name.c_str(), flags | O_CLOEXEC, 0600); })};
            const int cause = errno;
            if (file && tries > 0) shortage_({}, tries);
            if (file) return file;
            const bool may_pass = cause == EMFILE || cause == ENFILE;
            if (!may_pass || !shortage_(operation + (" " + path), tries)) fail_disk(operation, path, cause);
        }
    }
    static void sync(const detail::Descriptor& directory, const std::string& path) {
        if (detail::uninterrupted([&] { return ::fsync(directory.get()); }) != 0)
            fail_disk("sync directory", path, errno);
    }
    void sync_parent() const {
        const auto parent = path_ + "/..";
        const detail::Descriptor directory{detail::uninterrupted(
            [&] { return ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); })};
        // If the parent may not be read, it is not synced: the directory was probably created by an administrator.
        if (directory) sync(directory, parent);
    }

    std::string path_;
    Shortage shortage_;
    detail::Descriptor directory_;
    detail::Descriptor lock_;  // the kernel releases the lock when the process ends
};

static_assert(Disk<PosixDisk>);

}  // namespace understudy::journal
