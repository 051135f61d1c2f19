// What a journal asks of a file system: one directory with files of flat names, and calls that block. A real directory
// (posix_disk.hpp) and the one of the simulator (sim/disk/disk.hpp) are such disks.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace understudy::journal {

/// A file that was created and is open for appending. Its destructor closes it.
///
/// - `append(bytes)` hands all of them to the kernel: they outlive the process, not the machine. If it fails, any part
///   of them may be there.
/// - `sync()` returns when all that was appended, and the file's size, are on stable storage; its name may not be. If
///   it fails nobody knows what is there, also not after a later call that succeeds: the file is to be given up.
/// - `renamed(name)`: the file has another name now, and errors are to say so.
/// - `close()` ends the file where the last append ended (see `create`) and closes it. It makes nothing stable.
template <typename F>
concept DiskFile = std::movable<F> && requires(F& file, std::string_view bytes, const std::string& name) {
    file.append(bytes);
    file.sync();
    file.renamed(name);
    file.close();
};

/// A directory that is this object's alone. All calls block, and fail with a `std::system_error` whose text names what
/// was to be done, the file and the cause. One thread at a time.
///
/// - `path(name)` is what to call a file when talking to people.
/// - `list()` gives the names of all files, sorted.
/// - `size(name)` and `read(name, offset, most)`: fewer bytes than `most` come only at the end of the file.
/// - `create(name, step)` fails if there is such a file. `step`: many small appends will follow, so the disk may let
///   the file grow by so many bytes at a time, with zeros after what was appended; 0: it ends with what was appended.
/// - `rename(from, to)` replaces `to`, in one step that is seen whole or not at all, also after a crash.
/// - `sync_directory()` returns when all that was created, renamed and removed is on stable storage. Before that any
///   part of it may be, in any order.
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

/// "create /var/lib/x/log: No space left on device", for an `errno`.
[[noreturn]] inline void fail_disk(const std::string& operation, const std::string& path, int cause) {
    throw std::system_error{cause, std::system_category(), operation + " " + path};
}

}  // namespace understudy::journal
