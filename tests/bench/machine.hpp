// The machine that a benchmark runs on, as it describes itself.
#pragma once

#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>
#include <string>

namespace understudy::bench {

namespace detail {
inline std::string first_line(const std::string& path) {
    std::string line;
    std::getline(std::ifstream{path}, line);
    return line;
}
inline std::string cpu_model() {
    std::ifstream info{"/proc/cpuinfo"};
    for (std::string line; std::getline(info, line);)
        if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
    return "unknown CPU";
}
inline std::string size_of(long bytes) {
    if (bytes <= 0) return "?";
    const bool mebibytes = bytes % (1 << 20) == 0;
    return std::to_string(bytes >> (mebibytes ? 20 : 10)) + (mebibytes ? " MiB" : " KiB");
}
/// The size of a cache of CPU 0: as the kernel tells it, or else as the C library does.
inline std::string cache_size(const std::string& level, const std::string& type, int name) {
    for (int n = 0;; ++n) {
        const auto folder = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(n) + "/";
        const auto found = first_line(folder + "level");
        if (found.empty()) break;
        if (found != level || first_line(folder + "type") != type) continue;
        if (const auto size = first_line(folder + "size"); size.ends_with('K')) return size_of(std::stol(size) << 10);
    }
    return size_of(sysconf(name));
}
inline std::string compiler() {
#if defined(__clang__)
    return "Clang " __clang_version__;
#else
    return "GCC " __VERSION__;
#endif
}
}  // namespace detail

/// One line: processor, caches, kernel and compiler.
inline std::string describe_machine() {
    cpu_set_t set;
    CPU_ZERO(&set);
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    const long mine = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : online;
    utsname kernel{};
    uname(&kernel);
    using detail::cache_size;
    return detail::cpu_model() + ", " + std::to_string(mine) + (mine == 1 ? " CPU" : " CPUs") +
           (mine == online ? "" : " of " + std::to_string(online)) + "; L1d " +
           cache_size("1", "Data", _SC_LEVEL1_DCACHE_SIZE) + ", L1i " +
           cache_size("1", "Instruction", _SC_LEVEL1_ICACHE_SIZE) + ", L2 " +
           cache_size("2", "Unified", _SC_LEVEL2_CACHE_SIZE) + ", L3 " +
           cache_size("3", "Unified", _SC_LEVEL3_CACHE_SIZE) + "; " + kernel.sysname + " " + kernel.release + "; " +
           detail::compiler();
}

}  // namespace understudy::bench
