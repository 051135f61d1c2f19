// Turns a failed check of the library into a violation of the run that it happened in.
#pragma once

#include <stdexcept>
#include <string>

#include <understudy/base/check.hpp>

namespace understudy::sim {

namespace detail {
/// While it exists, a failed check of the library does not end the process. It throws `std::logic_error`, and the text
/// stays in `failure()` so that the run reports it as a violation. The text is stored separately because an exception
/// may be swallowed between the check and the run.
class CheckCatcher {
public:
    CheckCatcher() : before_{set_check_handler(&caught)} { failure().clear(); }
    CheckCatcher(const CheckCatcher&) = delete;
    CheckCatcher& operator=(const CheckCatcher&) = delete;
    ~CheckCatcher() { set_check_handler(before_); }

    static std::string& failure() {
        thread_local std::string text;
        return text;
    }

private:
    [[noreturn]] static void caught(const char* condition, const char* file, int line) {
        if (failure().empty())
            failure() = std::string{"check failed: "} + condition + " (" + file + ":" + std::to_string(line) + ")";
        throw std::logic_error{failure()};
    }
    CheckHandler before_;
};
}  // namespace detail

}  // namespace understudy::sim
