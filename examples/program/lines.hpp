// The lines that a server program prints for people, on a descriptor whose reader may be slow or may have disconnected.
// A server that waited for its reader would answer no ping and count as dead, so lines that are not read in time are
// dropped and counted.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

namespace program {

/// Writes whole lines and never waits, except for a file. The descriptor's flags are not changed, because other
/// processes share them. Thread-safe.
class LineWriter {
public:
    /// `stamp` returns the start of the line that reports how many lines were dropped.
    LineWriter(int descriptor, std::string (*stamp)()) : descriptor_{descriptor}, stamp_{stamp} {
        struct stat about {};
        if (::fstat(descriptor_, &about) == 0) kind_ = about.st_mode & S_IFMT;
    }

    /// Writes a line, given without its line end. Except on a file it is truncated to `longest`: the most that a pipe
    /// takes in one piece.
    void write(std::string_view line) {
        const std::lock_guard lock{mutex_};
        if (!write_rest() || !report_dropped()) {
            ++dropped_;
            return;
        }
        std::string whole{line};
        if (kind_ != S_IFREG && whole.size() >= longest) whole.replace(longest - 1 - cut.size(), whole.npos, cut);
        if (!begin(whole + '\n')) ++dropped_;
    }

private:
    static constexpr std::size_t longest = 4096;  // PIPE_BUF
    static constexpr std::string_view cut = " [...]";

    bool write_rest() {
        rest_.erase(0, try_write(rest_));
        return rest_.empty();
    }
    bool report_dropped() {
        if (dropped_ == 0) return true;
        const auto lines = dropped_ == 1 ? " line was" : " lines were";
        if (!begin(stamp_() + ' ' + std::to_string(dropped_) + lines + " dropped: nobody read them\n")) return false;
        dropped_ = 0;
        return rest_.empty();
    }
    /// Returns false if nothing was written. The remaining part of the text is written before the next line.
    bool begin(const std::string& text) {
        const auto count = try_write(text);
        rest_ = count == 0 ? std::string{} : text.substr(count);
        return count != 0;
    }

    std::size_t try_write(std::string_view bytes) {
        if (bytes.empty()) return 0;
        if (kind_ == S_IFREG) return write_file(bytes);
        pollfd ready{descriptor_, POLLOUT, 0};
        if (::poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT)) return 0;
        const auto count = kind_ == S_IFSOCK ? ::send(descriptor_, bytes.data(), bytes.size(), no_wait)
                                             : write_piece(bytes);
        return count > 0 ? static_cast<std::size_t>(count) : 0;
    }
    /// Another process may have filled the pipe after the poll: so the write itself is made non-blocking, if the system
    /// supports it.
    ssize_t write_piece(std::string_view bytes) {
        const auto size = std::min(bytes.size(), longest);
#if defined(RWF_NOWAIT)
        iovec piece{const_cast<char*>(bytes.data()), size};
        const auto count = ::pwritev2(descriptor_, &piece, 1, -1, RWF_NOWAIT);
        if (count >= 0 || errno == EAGAIN) return count;
#endif
        return ::write(descriptor_, bytes.data(), size);
    }
    std::size_t write_file(std::string_view bytes) {
        std::size_t done = 0;
        while (done < bytes.size()) {
            const auto count = ::write(descriptor_, bytes.data() + done, bytes.size() - done);
            if (count < 0 && errno == EINTR) continue;
            if (count <= 0) break;
            done += static_cast<std::size_t>(count);
        }
        return done;
    }

#if defined(MSG_NOSIGNAL)
    static constexpr int no_wait = MSG_DONTWAIT | MSG_NOSIGNAL;
#else
    static constexpr int no_wait = MSG_DONTWAIT;
#endif

    std::mutex mutex_;
    int descriptor_;
    std::string (*stamp_)();
    mode_t kind_ = 0;
    std::string rest_;  // the rest of a line that was written in part
    std::size_t dropped_ = 0;
};

}  // namespace program
