// Where `pbc dump` gathers a snapshot until all of it is there: stdout, or a file, gets the whole or nothing.
#pragma once

#include <fcntl.h>
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

/// For stdout it is a temporary file without a name. For a file it is one beside it, which takes its place in one step
/// once it is on the disk: what stood there before stays until then, whatever happens. Destroying it unpublished leaves
/// nothing behind.
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
            name_ = target_ + "." + std::to_string(::getpid()) + ".part";
            const int descriptor = ::open(name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
            if (descriptor >= 0) file_.reset(::fdopen(descriptor, "wb"));
        }
        if (!file_) fail_io(name_.c_str());
    }
    ~Draft() {
        if (file_ && !target_.empty()) ::unlink(name_.c_str());
    }
    Draft(const Draft&) = delete;
    Draft& operator=(const Draft&) = delete;

    void write(std::string_view bytes) { write_to(file_.get(), bytes, name_.c_str()); }

    void publish() {
        if (target_.empty()) return copy_to_stdout();
        if (std::fflush(file_.get()) != 0 || ::fsync(::fileno(file_.get())) != 0) fail_io(name_.c_str());
        if (std::rename(name_.c_str(), target_.c_str()) != 0) fail_io(target_.c_str());
        file_.reset();
        sync_folder();
    }

private:
    void copy_to_stdout() {
        std::rewind(file_.get());
        std::string buffer(1u << 16, '\0');
        while (const auto count = std::fread(buffer.data(), 1, buffer.size(), file_.get()))
            print({buffer.data(), count});
        if (std::ferror(file_.get())) fail_io(name_.c_str());
        flush_printed();
    }
    /// Some file systems cannot do it, so a refusal is no failure.
    void sync_folder() const {
        const auto folder = std::filesystem::absolute(target_).parent_path();
        const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (descriptor < 0) return;
        (void)::fsync(descriptor);
        ::close(descriptor);
    }

    std::string target_;  // empty: stdout
    std::string name_;
    File file_;
};

}  // namespace program
