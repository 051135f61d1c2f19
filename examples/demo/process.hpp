// One child process of the demo: a program from the folder of this one, with its output in a file. The demo
// never leaves it behind.
#pragma once

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

namespace demo {

class Process {
public:
    /// Throws `std::system_error` if no further process or file can be created. If the program cannot be executed, its
    /// log says so and it ends with 127.
    Process(const std::filesystem::path& program, std::vector<std::string> arguments, std::filesystem::path log)
        : log_{std::move(log)} {
        arguments.insert(arguments.begin(), program.string());
        std::vector<char*> pointers;
        for (auto& argument : arguments) pointers.push_back(argument.data());
        pointers.push_back(nullptr);

        const int output = ::open(log_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
        if (output < 0) throw std::system_error{errno, std::generic_category(), log_.string()};
        const pid_t parent = ::getpid();
        pid_ = ::fork();
        if (pid_ == 0) become(pointers.data(), output, parent);
        const int fault = errno;
        ::close(output);
        if (pid_ < 0) throw std::system_error{fault, std::generic_category(), "fork"};
    }
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;
    ~Process() {
        if (status_) return;
        ::kill(pid_, SIGKILL);
        while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
        }
    }

    pid_t pid() const { return pid_; }
    const std::filesystem::path& log() const { return log_; }

    bool running() {
        int status = 0;
        if (!status_ && ::waitpid(pid_, &status, WNOHANG) == pid_) status_ = status;
        return !status_;
    }
    void signal(int number) {
        if (running()) ::kill(pid_, number);
    }
    /// Whether a signal ended it. Valid only after it has ended.
    bool killed() const { return WIFSIGNALED(*status_); }
    /// How it ended, as text for people. Valid only after it has ended.
    std::string fate() const {
        if (killed()) return "was ended by signal " + std::to_string(WTERMSIG(*status_));
        return "ended with exit code " + std::to_string(WEXITSTATUS(*status_));
    }

    /// Whether a line of its log contains the text.
    bool said(std::string_view text) const {
        std::ifstream file{log_};
        for (std::string line; std::getline(file, line);)
            if (line.find(text) != line.npos) return true;
        return false;
    }
    /// The address in its ready line, `listening on ADDRESS`, once that is written.
    std::optional<std::string> listening() const {
        constexpr std::string_view ready = "listening on ";
        std::ifstream file{log_};
        for (std::string line; std::getline(file, line);) {
            if (file.eof()) break;  // an incomplete line
            if (line.starts_with(ready)) return line.substr(ready.size());
        }
        return {};
    }

private:
    // Runs in the child: calls only functions that are safe after fork.
    [[noreturn]] static void become(char* const* arguments, int output, [[maybe_unused]] pid_t parent) {
        ::setpgid(0, 0);  // Ctrl-C goes to the demo only, which then ends its children itself
#ifdef __linux__
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) ::_exit(127);  // the demo died before the parent-death signal was set
#endif
        const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
        ::dup2(nothing, STDIN_FILENO);
        ::dup2(output, STDOUT_FILENO);
        ::dup2(output, STDERR_FILENO);
        ::execv(arguments[0], arguments);
        const char* parts[] = {"cannot execute ", arguments[0], ": ", std::strerror(errno), "\n"};
        for (const char* part : parts)
            if (::write(STDERR_FILENO, part, std::strlen(part)) < 0) break;
        ::_exit(127);
    }

    std::filesystem::path log_;
    pid_t pid_ = -1;
    std::optional<int> status_;
};

/// The last lines of a file.
inline std::vector<std::string> last_lines(const std::filesystem::path& path, std::size_t count) {
    std::ifstream file{path};
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) {
        lines.push_back(std::move(line));
        if (lines.size() > count) lines.erase(lines.begin());
    }
    return lines;
}

/// A folder for logs and sockets that is removed with this object.
class TemporaryFolder {
public:
    TemporaryFolder() {
        auto name = (std::filesystem::temp_directory_path() / "understudy-demo.XXXXXX").string();
        if (!::mkdtemp(name.data())) throw std::system_error{errno, std::generic_category(), name};
        path_ = name;
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    ~TemporaryFolder() {
        std::error_code ignored;
        if (!kept_) std::filesystem::remove_all(path_, ignored);
    }

    const std::filesystem::path& path() const { return path_; }
    void keep() { kept_ = true; }

private:
    std::filesystem::path path_;
    bool kept_ = false;
};

}  // namespace demo
