#include "command_line.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <CLI/CLI.hpp>

#include <understudy/net/address.hpp>
#include <understudy/version.hpp>

namespace program {

namespace {

using understudy::Address;
using understudy::Duration;

Duration to_duration(double seconds) {
    if (!(seconds >= 0.001 && seconds <= 1e9)) throw Mistake{"expected 0.001 to 1e9 seconds"};
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>{seconds});
}

void require_address(const std::string& text) {
    const auto parsed = understudy::net::parse_address(text);
    if (const auto* wrong = std::get_if<std::string>(&parsed)) throw CLI::ValidationError{*wrong};
}

/// For unsigned options: without this check a negative number would be taken as a huge one.
CLI::Validator not_negative() {
    const auto judge = [](std::string& text) {
        return text.find('-') == text.npos ? std::string{} : text + " is negative";
    };
    return CLI::Validator{judge, ""};
}

template <typename Number>
CLI::Option* add_count(CLI::App& app, const std::string& name, Number& target, const std::string& what) {
    return app.add_option(name, target, what)->check(not_negative())->type_name("N")->capture_default_str();
}

/// `target` is a Duration, or an optional one.
template <typename Target>
CLI::Option* add_seconds(CLI::App& app, const std::string& name, Target& target, const std::string& what) {
    const auto take = [name, &target](double seconds) {
        try {
            target = to_duration(seconds);
        } catch (const Mistake& wrong) {
            throw CLI::ValidationError{name, wrong.what()};
        }
    };
    return app.add_option_function<double>(name, take, what)->type_name("SECONDS");
}

CLI::Option* add_text(CLI::App& app, const std::string& name, const Arguments::Take& take, const std::string& what) {
    const auto report = [name, take](const std::string& text) {
        try {
            take(text);
        } catch (const Mistake& wrong) {
            throw CLI::ValidationError{name, wrong.what()};
        }
    };
    return app.add_option_function<std::string>(name, report, what);
}

// ---- commands ---------------------------------------------------------------------------------------------

/// The program and its places: what stands before a command.
std::string before_command(const CLI::App& app) {
    auto text = app.get_name();
    for (const auto* option : app.get_options([](const CLI::Option* one) { return one->get_positional(); }))
        text += ' ' + option->get_name(true);
    return text;
}

/// Shows the program's places also in the help of one command.
struct Formatter : CLI::Formatter {
    std::string make_usage(const CLI::App* app, std::string name) const override {
        if (const auto* parent = app->get_parent()) name = before_command(*parent) + ' ' + app->get_name();
        return CLI::Formatter::make_usage(app, name);
    }
};

/// Explains two mistakes that the parser does not name: a command before the program's places, and a word that is no
/// command.
std::string say_mistake(const CLI::App& app, const std::string& first) {
    std::vector<std::string> known;
    for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; }))
        known.push_back(command->get_name());
    if (known.empty()) return {};
    if (std::ranges::find(known, first) != known.end()) {
        const auto before = before_command(app);
        return before.substr(before.find(' ') + 1) + " comes first: " + before + ' ' + first + " ...";
    }
    const auto left = app.remaining();
    if (!app.get_subcommands().empty() || left.empty() || left.front().starts_with('-')) return {};
    return understudy::printable(left.front()) + " is no command; there are " + CLI::detail::join(known, ", ");
}

}  // namespace

std::optional<Duration> read_seconds(const std::string& text) {
    double seconds = 0;
    if (!CLI::detail::lexical_cast(text, seconds)) return std::nullopt;
    return to_duration(seconds);
}

// ---- Option -----------------------------------------------------------------------------------------------

const Option& Option::required() const {
    option_->required();
    return *this;
}
const Option& Option::shows_default() const {
    option_->capture_default_str();
    return *this;
}
const Option& Option::called(const std::string& value) const {
    option_->type_name(value);
    return *this;
}
const Option& Option::between(double least, double most) const {
    option_->check(CLI::Range(least, most));
    return *this;
}
const Option& Option::between(int least, int most) const {
    option_->check(CLI::Range(least, most));
    return *this;
}
const Option& Option::excludes(const Option& other) const {
    option_->excludes(other.option_);
    return *this;
}

// ---- Arguments --------------------------------------------------------------------------------------------

Option Arguments::flag(const std::string& name, bool& target, const std::string& what) const {
    return Option{app_->add_flag(name, target, what)};
}
Option Arguments::text(const std::string& name, std::string& target, const std::string& what) const {
    return Option{app_->add_option(name, target, what)};
}
Option Arguments::text(const std::string& name, std::optional<std::string>& target, const std::string& what) const {
    return Option{app_->add_option(name, target, what)};
}
Option Arguments::text(const std::string& name, const Take& take, const std::string& what) const {
    return Option{add_text(*app_, name, take, what)};
}
Option Arguments::choice(const std::string& name, const std::vector<std::string>& words, const Take& take,
                         const std::string& what) const {
    return Option{add_text(*app_, name, take, what)->check(CLI::IsMember(words))};
}

Option Arguments::count(const std::string& name, int& target, const std::string& what) const {
    return Option{add_count(*app_, name, target, what)};
}
Option Arguments::count(const std::string& name, unsigned& target, const std::string& what) const {
    return Option{add_count(*app_, name, target, what)};
}
Option Arguments::count(const std::string& name, std::size_t& target, const std::string& what) const {
    return Option{add_count(*app_, name, target, what)};
}
Option Arguments::size(const std::string& name, std::size_t& target, const std::string& what) const {
    auto* option = app_->add_option(name, target, what)->transform(CLI::AsSizeValue{false})->type_name("SIZE");
    return Option{option->transform(not_negative())};  // the last transform sees the text first
}

Option Arguments::seconds(const std::string& name, double& target, const std::string& what) const {
    return Option{app_->add_option(name, target, what)->type_name("SECONDS")->capture_default_str()};
}
Option Arguments::seconds(const std::string& name, Duration& target, const std::string& what) const {
    return Option{add_seconds(*app_, name, target, what)};
}
Option Arguments::seconds(const std::string& name, std::optional<Duration>& target, const std::string& what) const {
    return Option{add_seconds(*app_, name, target, what)};
}
Option Arguments::milliseconds(const std::string& name, Duration& target, const std::string& what) const {
    const auto take = [&target](unsigned ms) { target = std::chrono::milliseconds{ms}; };
    auto* option = app_->add_option_function<unsigned>(name, take, what);
    return Option{option->check(not_negative())->type_name("MS")};
}

Option Arguments::address(const std::string& name, Address& target, const std::string& what) const {
    const auto take = [&target](const std::string& text) {
        require_address(text);
        target = text;
    };
    return Option{app_->add_option_function<std::string>(name, take, what)->type_name("ADDRESS")};
}
Option Arguments::addresses(const std::string& name, std::vector<Address>& target, const std::string& what) const {
    const auto take = [&target](const std::string& text) {
        target.clear();
        for (std::string_view rest = text;;) {
            const auto comma = rest.find(',');
            require_address(target.emplace_back(rest.substr(0, comma)));
            if (comma == rest.npos) return;
            rest.remove_prefix(comma + 1);
        }
    };
    return Option{app_->add_option_function<std::string>(name, take, what)->type_name("ADDRESS[,...]")};
}

// ---- CommandLine ------------------------------------------------------------------------------------------

CommandLine::CommandLine(const std::string& program, const std::string& about, std::string_view examples)
    : Arguments{nullptr}, owned_{std::make_unique<CLI::App>(about, program)} {
    app_ = owned_.get();
    app_->formatter(std::make_shared<Formatter>());
    app_->get_formatter()->column_width(34);
    app_->set_version_flag("--version", std::string{"understudy " UNDERSTUDY_VERSION_STRING},
                           "Print the version and exit");
    if (!examples.empty()) app_->footer("Examples:\n" + std::string{examples} + "\n" + std::string{exit_table});
}
CommandLine::~CommandLine() = default;

Arguments CommandLine::command(const std::string& name, const std::string& what,
                               const std::function<void()>& chosen) const {
    app_->fallthrough();
    app_->require_subcommand(1);
    auto* command = app_->add_subcommand(name, what);
    command->callback(chosen);
    return Arguments{command};
}

std::optional<Exit> CommandLine::parse(int argc, const char* const* argv) const {
    try {
        app_->parse(argc, argv);
        return std::nullopt;
    } catch (const CLI::Success& asked) {  // --help, --version
        app_->exit(asked);
        return Exit::done;
    } catch (const CLI::ParseError& wrong) {
        const auto better = say_mistake(*app_, argc > 1 ? argv[1] : "");
        std::cerr << app_->get_name() << ": " << (better.empty() ? wrong.what() : better) << "\nTry `"
                  << app_->get_name() << " --help`.\n";
        return Exit::usage;
    }
}

}  // namespace program
