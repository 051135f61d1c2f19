// The processes of a benchmark: forked from this one, each runs a function, and they end with this process.
#pragma once

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <fstream>
#include <functional>
#include <iostream>
#include <stdexcept>
#include <string>
#include <utility>

#include "tests/bench/sockets.hpp"

namespace understudy::bench {

/// Seconds of CPU that a process has used, as the scheduler counts them.
inline double cpu_seconds(pid_t process) {
    double nanoseconds = 0;
    std::ifstream{"/proc/" + std::to_string(process) + "/schedstat"} >> nanoseconds;
    return nanoseconds / 1e9;
}

/// Seconds that a process was ready to run and no CPU was free for it.
inline double waited_seconds(pid_t process) {
    double used = 0, nanoseconds = 0;
    std::ifstream{"/proc/" + std::to_string(process) + "/schedstat"} >> used >> nanoseconds;
    return nanoseconds / 1e9;
}

/// Seconds of CPU that the whole machine was busy.
inline double busy_seconds() {
    std::string name;
    double user = 0, nice = 0, system = 0, idle = 0, wait = 0, hard = 0, soft = 0;
    std::ifstream{"/proc/stat"} >> name >> user >> nice >> system >> idle >> wait >> hard >> soft;
    return (user + nice + system + hard + soft) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

inline void pin(pid_t process, bool one_cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int cpu = 0; cpu < (one_cpu ? 1 : CPU_SETSIZE); ++cpu) CPU_SET(cpu, &set);
    sched_setaffinity(process, sizeof set, &set);
}

inline void pin_to(pid_t process, int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(process, sizeof set, &set);
}

/// A child process. It is killed when this object is destroyed, and when its parent dies.
class Process {
public:
    Process() = default;
    explicit Process(const std::function<void()>& work) {
        std::cout.flush();
        id_ = must(fork(), "fork");
        if (id_ != 0) return;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGPIPE, SIG_IGN);  // a client that disconnects must not end the process
        int status = 0;
        try {
            work();
        } catch (const std::exception& thrown) {
            std::fprintf(stderr, "bench: %s\n", thrown.what());
            status = 1;
        }
        std::fflush(nullptr);
        _exit(status);
    }
    Process(Process&& other) noexcept : id_{std::exchange(other.id_, 0)} {}
    Process& operator=(Process&& other) noexcept {
        std::swap(id_, other.id_);
        return *this;
    }
    ~Process() { kill_now(); }

    pid_t id() const { return id_; }
    void signal_with(int number) const { kill(id_, number); }
    void kill_now() {
        if (id_ == 0) return;
        kill(id_, SIGKILL);
        wait();
    }
    /// Waits for the process; returns its exit status.
    int wait() {
        int status = 0;
        waitpid(std::exchange(id_, 0), &status, 0);
        return status;
    }

private:
    pid_t id_ = 0;
};

/// Runs `work` in a child and returns what `work` writes to the descriptor that it receives. Throws if the child fails.
inline std::string output_of(const std::function<void(int)>& work) {
    int ends[2];
    must(pipe(ends), "pipe");
    Process child{[&] {
        close(ends[0]);
        work(ends[1]);
    }};
    close(ends[1]);
    std::string output;
    char buffer[4096];
    for (ssize_t count; (count = read(ends[0], buffer, sizeof buffer)) > 0;)
        output.append(buffer, static_cast<std::size_t>(count));
    close(ends[0]);
    if (child.wait() != 0) throw std::runtime_error{"a client failed"};
    return output;
}

}  // namespace understudy::bench
