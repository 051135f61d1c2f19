// A folder for files that exists as long as a test runs.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>
#include <string_view>

#include <understudy/view.hpp>

namespace understudy::test {

/// A folder that is removed when the test ends. Its path is short, because paths of sockets must be.
class TemporaryFolder {
public:
    TemporaryFolder() {
        std::string name = "/tmp/understudy-XXXXXX";
        path_ = ::mkdtemp(name.data());
    }
    TemporaryFolder(TemporaryFolder&&) = delete;
    ~TemporaryFolder() { std::filesystem::remove_all(path_); }
    const std::string& path() const { return path_; }
    std::string file(std::string_view name) const { return path_ + "/" + std::string{name}; }
    Address address(std::string_view name) const { return "unix://" + file(name); }

private:
    std::string path_;
};

}  // namespace understudy::test
