// The memory of a process, as the kernel counts it; and memory that a benchmark's processes share.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <fstream>
#include <new>
#include <string>
#include <utility>

#include "tests/bench/sockets.hpp"

namespace understudy::bench {

namespace detail {
inline double status_bytes(pid_t process, const std::string& field) {
    std::ifstream status{"/proc/" + std::to_string(process) + "/status"};
    for (std::string line; std::getline(status, line);)
        if (line.starts_with(field + ":")) return std::stod(line.substr(field.size() + 1)) * 1024;
    return 0;
}
}  // namespace detail

/// Bytes of memory in use, and the peak since `forget_peak`.
inline double resident(pid_t process) { return detail::status_bytes(process, "VmRSS"); }
inline double peak(pid_t process) { return detail::status_bytes(process, "VmHWM"); }
inline void forget_peak(pid_t process) { std::ofstream{"/proc/" + std::to_string(process) + "/clear_refs"} << 5; }

/// A `T` that is shared with all processes forked after its construction.
template <typename T>
class Common {
public:
    Common() {
        void* memory = mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) fail("mmap");
        it_ = new (memory) T{};
    }
    Common(const Common&) = delete;
    Common& operator=(const Common&) = delete;
    ~Common() { munmap(it_, sizeof(T)); }
    T* operator->() const { return it_; }
    T& operator*() const { return *it_; }

private:
    T* it_;
};

}  // namespace understudy::bench
