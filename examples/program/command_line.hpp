// The parts of a command line that the programs share: addresses, --version, and the report of a mistake.
#pragma once

#include <chrono>
#include <functional>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include <understudy/net/address.hpp>
#include <understudy/version.hpp>

#include "exit_codes.hpp"

namespace program {

inline void require_address(const std::string& text) {
    const auto parsed = understudy::net::parse_address(text);
    if (const auto* wrong = std::get_if<std::string>(&parsed)) throw CLI::ValidationError{*wrong};
}

/// `tcp://…` or `unix:///…`.
inline CLI::Option* add_address(CLI::App& app, const std::string& name, understudy::Address& target,
                                const std::string& what) {
    const auto take = [&target](const std::string& text) {
        require_address(text);
        target = text;
    };
    return app.add_option_function<std::string>(name, take, what)->type_name("ADDRESS");
}

/// One or more addresses, separated by commas.
inline CLI::Option* add_addresses(CLI::App& app, const std::string& name, std::vector<understudy::Address>& target,
                                  const std::string& what) {
    const auto take = [&target](const std::string& text) {
        target.clear();
        for (std::string_view rest = text;;) {
            const auto comma = rest.find(',');
            require_address(target.emplace_back(rest.substr(0, comma)));
            if (comma == rest.npos) return;
            rest.remove_prefix(comma + 1);
        }
    };
    return app.add_option_function<std::string>(name, take, what)->type_name("ADDRESS[,...]");
}

/// Throws `CLI::ValidationError`, naming the option, if the value is out of range.
inline understudy::Duration to_duration(const std::string& name, double seconds) {
    if (!(seconds >= 0.001 && seconds <= 1e9)) throw CLI::ValidationError{name, "expected 0.001 to 1e9 seconds"};
    return std::chrono::duration_cast<understudy::Duration>(std::chrono::duration<double>{seconds});
}

/// A length of time in seconds; fractions are allowed. `target` is a Duration, or an optional one.
template <typename Target>
CLI::Option* add_seconds(CLI::App& app, const std::string& name, Target& target, const std::string& what) {
    const auto take = [name, &target](double seconds) { target = to_duration(name, seconds); };
    return app.add_option_function<double>(name, take, what)->type_name("SECONDS");
}

/// For unsigned options: without this check a negative number would be taken as a huge one.
inline CLI::Validator not_negative() {
    const auto judge = [](std::string& text) {
        return text.find('-') == text.npos ? std::string{} : text + " is negative";
    };
    return CLI::Validator{judge, ""};
}

/// A number that is not negative. `target` is unsigned.
template <typename Unsigned>
CLI::Option* add_count(CLI::App& app, const std::string& name, Unsigned& target, const std::string& what) {
    return app.add_option(name, target, what)->check(not_negative())->type_name("N")->capture_default_str();
}

/// A number of bytes: 4096, 64KiB, 1MiB.
inline CLI::Option* add_size(CLI::App& app, const std::string& name, std::size_t& target, const std::string& what) {
    auto* option = app.add_option(name, target, what)->transform(CLI::AsSizeValue{false})->type_name("SIZE");
    return option->transform(not_negative());  // the last transform sees the text first
}

/// Adds what every program has: version, help and examples. `examples` can be pasted into a shell.
inline void describe(CLI::App& app, std::string_view examples) {
    app.get_formatter()->column_width(34);
    app.set_version_flag("--version", std::string{"understudy " UNDERSTUDY_VERSION_STRING},
                         "Print the version and exit");
    app.footer("Examples:\n" + std::string{examples} + "\n" + std::string{exit_table});
}

/// Returns nothing if the program should go on; otherwise the exit code, after printing the message. `say` may describe
/// a mistake better than the parser does, given the words of the command line; or return an empty text.
using Sayer = std::function<std::string(const CLI::App&, const std::vector<std::string>&)>;
inline std::optional<Exit> parse(CLI::App& app, int argc, const char* const* argv, const Sayer& say = {}) {
    try {
        app.parse(argc, argv);
        return std::nullopt;
    } catch (const CLI::Success& asked) {  // --help, --version
        app.exit(asked);
        return Exit::done;
    } catch (const CLI::ParseError& wrong) {
        const auto better = say ? say(app, {argv + 1, argv + argc}) : std::string{};
        std::cerr << app.get_name() << ": " << (better.empty() ? wrong.what() : better) << "\nTry `" << app.get_name()
                  << " --help`.\n";
        return Exit::usage;
    }
}

}  // namespace program
