// The interface between a journal and a file system: one directory without subdirectories, and blocking calls. A real
// directory (posix_disk.hpp) and the simulated one (sim/disk/disk.hpp) implement it, so that a simulator can inject
// crashes and disk errors.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace understudy::journal {

/// A new file that is open for appending. Its destructor closes it.
///
/// - `append(bytes)` hands all bytes to the kernel. They survive the end of the process, but not a crash of the
///   machine. If it fails, any part of the bytes may be in the file.
/// - `sync()` returns when all appended bytes and the file's size are on stable storage. The file's name may not be;
///   see `sync_directory`. If it fails, the content on stable storage is unknown, even after a later call that
///   succeeds: the kernel may have dropped what it could not write. The file must be given up.
/// - `renamed(name)` tells the object that the file was renamed, so that error texts have the new name.
/// - `close()` truncates the file to the end of the last append (see `create`) and closes it. It syncs nothing.
template <typename F>
concept DiskFile = std::movable<F> && requires(F& file, std::string_view bytes, const std::string& name) {
    file.append(bytes);
    file.sync();
    file.renamed(name);
    file.close();
};

/// A directory that only this object uses. All calls block. They fail with a `std::system_error` whose text names the
/// operation, the file and the cause. One thread at a time may use it.
///
/// - `path(name)` is the file's path for human-readable text.
/// - `list()` returns the names of all files, sorted.
/// - `size(name)` returns the file's size. `read(name, offset, most)` returns fewer than `most` bytes only at the end
///   of the file.
/// - `create(name, step)` creates a file, and fails if it exists. A `step` above 0 says that many small appends will
///   follow: the disk may grow the file by that many bytes at a time, with zeros after the appended bytes. With 0 the
///   file always ends with the appended bytes.
/// - `rename(from, to)` replaces `to` atomically, also with respect to a crash.
/// - `remove(name)` removes the file.
/// - `sync_directory()` returns when all files that were created, renamed or removed are so on stable storage. Before
///   that, a crash may preserve any part of these changes, in any order.
template <typename D>
concept Disk = DiskFile<typename D::File> &&
               requires(D& disk, const std::string& name, std::uint64_t offset, std::size_t size) {
                   { disk.path(name) } -> std::convertible_to<std::string>;
                   { disk.list() } -> std::same_as<std::vector<std::string>>;
                   { disk.size(name) } -> std::same_as<std::uint64_t>;
                   { disk.read(name, offset, size) } -> std::same_as<std::string>;
                   { disk.create(name, size) } -> std::same_as<typename D::File>;
                   disk.rename(name, name);
                   disk.remove(name);
                   disk.sync_directory();
               };

/// Throws the error of a disk operation, with a text like "create /var/lib/x/log: No space left on device". `cause` is
/// an `errno`.
[[noreturn]] inline void fail_disk(const std::string& operation, const std::string& path, int cause) {
    throw std::system_error{cause, std::system_category(), operation + " " + path};
}

}  // namespace understudy::journal
