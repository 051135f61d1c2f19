// The exception for damaged files: files in a state that no crash can cause.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace understudy::journal {

/// A file has content that neither a killed process nor a power cut can leave behind. So writes that were answered may
/// be lost, and the server must not go on from this file. The text says where the damage is, what was found, what was
/// expected, and what to do.
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
    /// What was found and what was expected, without the file and the advice.
    const std::string& finding() const { return finding_; }

private:
    std::string file_;
    std::uint64_t offset_;
    std::string finding_;
};

}  // namespace understudy::journal
