// The place where `pbc dump` collects a snapshot until it is complete: stdout, or a file, gets all of it or nothing.
#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "console.hpp"

namespace program {

struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

/// For stdout this is a temporary file without a name. For a file it is a file beside it that replaces the target
/// atomically once it is on the disk: until then the old content stays, whatever happens. Destroying an unpublished
/// draft leaves nothing behind. A process that is killed leaves nothing either, if the system supports files without a
/// name; otherwise the next dump to the same file removes the remains.
class Draft {
public:
    /// `-` means stdout. A link is followed: the file that it leads to is replaced.
    explicit Draft(const std::string& target) {
        if (target == "-") {
            name_ = "a temporary file";
            file_.reset(std::tmpfile());
        } else {
            namespace fs = std::filesystem;
            target_ = fs::exists(target) ? fs::canonical(target).string() : target;
            if (fs::exists(target_) && !fs::is_regular_file(target_))
                throw Ended{Exit::failed, target + ": is no file that could be replaced"};
            name_ = (folder() / (draft_begin() + std::to_string(::getpid()) + draft_end)).string();
            remove_left();
            const int descriptor = open_draft();
            if (descriptor >= 0) file_.reset(::fdopen(descriptor, "wb"));
        }
        if (!file_) fail_io(name_.c_str());
    }
    ~Draft() {
        if (file_ && named_) ::unlink(name_.c_str());
    }
    Draft(const Draft&) = delete;
    Draft& operator=(const Draft&) = delete;

    void write(std::string_view bytes) { write_to(file_.get(), bytes, name_.c_str()); }

    void publish() {
        if (target_.empty()) return copy_to_stdout();
        if (std::fflush(file_.get()) != 0 || ::fsync(::fileno(file_.get())) != 0) fail_io(name_.c_str());
        if (!named_) give_name();
        if (std::rename(name_.c_str(), target_.c_str()) != 0) fail_io(target_.c_str());
        file_.reset();
        sync_folder();
    }

private:
    /// Hidden files with a form of name that no other program uses: only drafts of that form are removed.
    static constexpr const char* draft_end = ".pbc-part";
    std::string draft_begin() const { return "." + std::filesystem::path{target_}.filename().string() + "."; }
    std::filesystem::path folder() const { return std::filesystem::absolute(target_).parent_path(); }

    /// The draft is locked as long as its process runs.
    int open_draft() {
        int descriptor = -1;
#if defined(O_TMPFILE)
        if (::access("/proc/self/fd", X_OK) == 0)  // otherwise it could not get a name later
            descriptor = ::open(folder().c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
#endif
        named_ = descriptor < 0;
        if (named_) descriptor = ::open(name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (descriptor >= 0) ::flock(descriptor, LOCK_EX | LOCK_NB);
        return descriptor;
    }
    void give_name() {
        const auto itself = "/proc/self/fd/" + std::to_string(::fileno(file_.get()));
        if (::linkat(AT_FDCWD, itself.c_str(), AT_FDCWD, name_.c_str(), AT_SYMLINK_FOLLOW) != 0) fail_io(name_.c_str());
        named_ = true;
    }
    /// Removes the drafts of processes that were killed. A draft that cannot be removed stays.
    void remove_left() const {
        const auto begin = draft_begin();
        const std::string_view end = draft_end;
        std::error_code ignored;
        for (const auto& entry : std::filesystem::directory_iterator{folder(), ignored}) {
            const auto name = entry.path().filename().string();
            if (name.size() <= begin.size() + end.size() || !name.starts_with(begin) || !name.ends_with(end)) continue;
            const auto process = std::string_view{name}.substr(begin.size(), name.size() - begin.size() - end.size());
            if (process.find_first_not_of("0123456789") != process.npos) continue;
            const int descriptor = ::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
            if (descriptor < 0) continue;
            if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) ::unlink(entry.path().c_str());
            ::close(descriptor);
        }
    }

    void copy_to_stdout() {
        std::rewind(file_.get());
        std::string buffer(1u << 16, '\0');
        while (const auto count = std::fread(buffer.data(), 1, buffer.size(), file_.get()))
            print({buffer.data(), count});
        if (std::ferror(file_.get())) fail_io(name_.c_str());
        flush_printed();
    }
    /// Some file systems do not support this, so an error is ignored.
    void sync_folder() const {
        const int descriptor = ::open(folder().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (descriptor < 0) return;
        (void)::fsync(descriptor);
        ::close(descriptor);
    }

    std::string target_;  // empty: stdout
    std::string name_;
    bool named_ = false;  // the file exists under that name
    File file_;
};

}  // namespace program
