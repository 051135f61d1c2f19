// The exit codes of the programs: one table for all three, and the text about it in --help.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

#include <understudy/error.hpp>

namespace program {

enum class Exit {
    done = 0,
    failed = 1,
    usage = 2,
    no_match = 3,
    unknown = 4,
    no_answer = 5,
};

inline constexpr std::string_view exit_table =
    "Exit codes:\n"
    "  0  done\n"
    "  1  failed or refused; the message says what and where. Of pbd also: the state of its group is lost\n"
    "  2  wrong usage\n"
    "  3  the key does not exist, or `cas` found another value\n"
    "  4  outcome unknown: sent and not answered in time, it may or may not have taken effect\n"
    "  5  no answer in time; nothing was changed\n";

/// Ends a program with a message on stderr.
struct Ended : std::runtime_error {
    Exit exit;
    Ended(Exit code, const std::string& why) : std::runtime_error{why}, exit{code} {}
};

inline Exit exit_code(std::error_code ec) {
    using understudy::error;
    if (!ec) return Exit::done;
    if (ec == error::key_not_found) return Exit::no_match;
    if (ec == error::outcome_unknown) return Exit::unknown;
    if (ec == error::deadline_passed) return Exit::no_answer;
    return ec == error::invalid_options ? Exit::usage : Exit::failed;
}

}  // namespace program
