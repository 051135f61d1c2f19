// Decides which process may use the path of a unix socket. A process that dies leaves its socket file behind, and the
// file does not show whether a process listens. So a listener holds a lock on a file beside it; the kernel releases the
// lock when the process ends.
#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>
#include <string>
#include <system_error>
#include <utility>

#include <understudy/net/address.hpp>
#include <understudy/net/descriptor.hpp>

namespace understudy::net {

/// The socket address of a path. The path must have at most `max_unix_path` bytes.
inline sockaddr_un unix_socket_address(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, max_unix_path);
    return address;
}

/// The right to use a path. It holds a lock on `PATH.lock` from `claim` until `release` or its destructor, which remove
/// the socket file and the lock file.
class UnixPath {
public:
    UnixPath() = default;
    UnixPath(UnixPath&&) noexcept = default;
    UnixPath& operator=(UnixPath&& other) noexcept {
        release();
        path_ = std::move(other.path_);
        lock_ = std::move(other.lock_);
        file_ = other.file_;
        ours_ = other.ours_;
        return *this;
    }
    ~UnixPath() { release(); }

    /// Locks the path and removes a stale socket file. Fails with `address_in_use` if another process holds the lock or
    /// accepts connections there, with `file_exists` if the file at the path is not a socket, and with the system's
    /// error otherwise.
    std::error_code claim(const std::string& path) {
        path_ = path;
        if (auto fault = lock()) return fault;
        struct stat found {};
        if (::lstat(path_.c_str(), &found) != 0) return errno == ENOENT ? std::error_code{} : last_error();
        if (!S_ISSOCK(found.st_mode)) return std::make_error_code(std::errc::file_exists);
        if (somebody_listens()) return std::make_error_code(std::errc::address_in_use);
        return ::unlink(path_.c_str()) == 0 ? std::error_code{} : last_error();
    }

    /// Whether a process holds the lock of the path. Then that process is alive, even if its socket file was removed.
    static bool is_held(const std::string& path) {
        const Descriptor file{::open((path + ".lock").c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
        return file && ::flock(file.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    }

    /// Call this after `bind`. It notes the identity of the socket file, so that `release` removes this file only.
    void bound() { ours_ = ::lstat(path_.c_str(), &file_) == 0; }

    /// Releases the path and removes the socket file. A file that another process has put there since then stays.
    void release() {
        if (!lock_) return;
        struct stat found {};
        if (ours_ && ::lstat(path_.c_str(), &found) == 0 && same_file(found, file_)) ::unlink(path_.c_str());
        ::unlink(lock_path().c_str());  // removed while the lock is still held: see `lock`
        lock_.reset();
    }

private:
    std::string lock_path() const { return path_ + ".lock"; }

    static bool same_file(const struct stat& one, const struct stat& other) {
        return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
    }

    // A holder removes the lock file before it releases the lock. So a lock is valid only if the locked file is still
    // the one at the path; otherwise it tries again with the new file. Without this check, one process could lock the
    // removed file and another one a new file of the same name, and both would use the path.
    std::error_code lock() {
        for (;;) {
            Descriptor file{::open(lock_path().c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
            if (!file) return last_error();
            if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0)
                return errno == EWOULDBLOCK ? std::make_error_code(std::errc::address_in_use) : last_error();
            struct stat held {};
            struct stat named {};
            if (::fstat(file.get(), &held) == 0 && ::stat(lock_path().c_str(), &named) == 0 && same_file(held, named)) {
                lock_ = std::move(file);
                return {};
            }
        }
    }

    // Whether a process listens at the path without holding the lock, such as a program that does not use this library.
    // Its socket file must not be removed. When in doubt (no descriptor, EAGAIN, EACCES) the answer is yes.
    bool somebody_listens() const {
        const auto socket = open_socket(AF_UNIX);
        const auto address = unix_socket_address(path_);
        if (!socket || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
            return true;
        return errno != ECONNREFUSED && errno != ENOENT;
    }

    std::string path_;
    Descriptor lock_;
    struct stat file_ {};
    bool ours_ = false;
};

}  // namespace understudy::net
