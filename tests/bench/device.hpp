// What a disk writes, according to the kernel's statistics of the device.
#pragma once

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cstdint>
#include <fstream>
#include <string>

#include "tests/bench/processes.hpp"

namespace understudy::bench {

/// Bytes written to the device of that folder since it was attached, by any process. (The kernel's figures for one
/// process count whole folios.)
inline std::uint64_t bytes_written(const std::string& folder) {
    struct stat found {};
    must(stat(folder.c_str(), &found), "stat");
    std::ifstream device{"/sys/dev/block/" + std::to_string(major(found.st_dev)) + ":" +
                         std::to_string(minor(found.st_dev)) + "/stat"};
    std::uint64_t sectors = 0;
    for (int field = 0; field < 7; ++field) device >> sectors;
    return sectors * 512;
}

}  // namespace understudy::bench
