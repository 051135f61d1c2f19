// What a disk does, by the kernel's account of the device.
#pragma once

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cstdint>
#include <fstream>
#include <string>

#include "tests/bench/processes.hpp"

namespace understudy::bench {

/// What the device of that folder has written since it was there, for whomever. (What the kernel tells of a process
/// counts whole folios.)
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
