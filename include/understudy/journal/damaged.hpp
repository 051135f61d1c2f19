// The error for files that cannot have come about by a crash.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace understudy::journal {

/// A file holds something that neither a killed process nor a power cut leaves behind, so answered writes may be lost.
/// The text says where, what was found and what was expected, and what to do.
class Damaged : public std::runtime_error {
public:
    Damaged(const std::string& file, std::uint64_t offset, const std::string& finding)
        : std::runtime_error{file + " is damaged at offset " + std::to_string(offset) + ": " + finding +
                             ". Restore the directory from a backup; or, if another member in sync lives, remove the "
                             "directory, and let this server join as a new one (docs/durability.md)"},
          file_{file},
          offset_{offset},
          finding_{finding} {}

    const std::string& file() const { return file_; }
    std::uint64_t offset() const { return offset_; }
    /// What was found and what was expected.
    const std::string& finding() const { return finding_; }

private:
    std::string file_;
    std::uint64_t offset_;
    std::string finding_;
};

}  // namespace understudy::journal
