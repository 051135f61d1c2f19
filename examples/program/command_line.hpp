// The command line of a program: its arguments, the text of --help, and the report of a mistake. The parser, CLI11,
// takes longer to compile than the rest of a program; only command_line.cpp includes it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <understudy/options.hpp>

#include "exit_codes.hpp"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace program {

/// A function that takes the text of an option throws this if it is wrong. The report names the option.
struct Mistake : std::runtime_error {
    using runtime_error::runtime_error;
};

/// A length of time in seconds, as the programs accept it, or nothing if the text is no number. Throws `Mistake` if it
/// is out of range.
std::optional<understudy::Duration> read_seconds(const std::string& text);

/// One argument, with what there is to say of it beyond its kind.
class Option {
public:
    explicit Option(CLI::Option* option) : option_{option} {}

    const Option& required() const;
    const Option& shows_default() const;
    const Option& called(const std::string& value) const;  ///< What --help names its value.
    const Option& between(double least, double most) const;
    const Option& between(int least, int most) const;
    const Option& excludes(const Option& other) const;

private:
    CLI::Option* option_;
};

/// The arguments of a program, or of one of its commands. A name with dashes is an option, without it is a place. Each
/// function adds one of a kind. What it writes to must live until all is parsed.
class Arguments {
public:
    using Take = std::function<void(const std::string&)>;

    explicit Arguments(CLI::App* app) : app_{app} {}

    Option flag(const std::string& name, bool& target, const std::string& what) const;
    Option text(const std::string& name, std::string& target, const std::string& what = {}) const;
    Option text(const std::string& name, std::optional<std::string>& target, const std::string& what = {}) const;
    Option text(const std::string& name, const Take& take, const std::string& what) const;
    Option choice(const std::string& name, const std::vector<std::string>& words, const Take& take,
                  const std::string& what) const;

    /// A number that is not negative.
    Option count(const std::string& name, int& target, const std::string& what) const;
    Option count(const std::string& name, unsigned& target, const std::string& what) const;
    Option count(const std::string& name, std::size_t& target, const std::string& what) const;
    /// A number of bytes: 4096, 64KiB, 1MiB.
    Option size(const std::string& name, std::size_t& target, const std::string& what) const;

    /// A length of time in seconds; fractions are allowed.
    Option seconds(const std::string& name, double& target, const std::string& what) const;
    Option seconds(const std::string& name, understudy::Duration& target, const std::string& what) const;
    Option seconds(const std::string& name, std::optional<understudy::Duration>& target, const std::string& what) const;
    Option milliseconds(const std::string& name, understudy::Duration& target, const std::string& what) const;

    /// `tcp://…` or `unix:///…`.
    Option address(const std::string& name, understudy::Address& target, const std::string& what) const;
    /// One or more addresses, separated by commas.
    Option addresses(const std::string& name, std::vector<understudy::Address>& target, const std::string& what) const;

protected:
    CLI::App* app_;
};

class CommandLine : public Arguments {
public:
    /// With --help and --version. `examples` can be pasted into a shell; the exit codes follow them in the help.
    CommandLine(const std::string& program, const std::string& about, std::string_view examples = {});
    ~CommandLine();
    CommandLine(const CommandLine&) = delete;
    CommandLine& operator=(const CommandLine&) = delete;

    /// A command, one of which must follow the program's places. The program's options may also come after it. If it
    /// was chosen, `chosen` is called when all is parsed.
    Arguments command(const std::string& name, const std::string& what, const std::function<void()>& chosen) const;

    /// Returns nothing if the program should go on; otherwise the exit code, after printing the message.
    std::optional<Exit> parse(int argc, const char* const* argv) const;

private:
    std::unique_ptr<CLI::App> owned_;
};

}  // namespace program
