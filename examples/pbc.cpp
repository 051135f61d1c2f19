// pbc: a client of a replicated key/value store, and its operator's tool, as a program.
#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>

#include "program/command_line.hpp"
#include "program/operator_commands.hpp"
#include "program/transfer_commands.hpp"

namespace {

using program::CommandContext;
using program::Exit;

/// The request on the command line. The command starts only after all of it was parsed.
struct Request {
    program::Target target;
    std::string doing;
    std::function<asio::awaitable<Exit>(CommandContext&)> start;

    program::PutArguments put;
    program::CasArguments cas;
    program::KeysArguments keys;
    program::LoadArguments load;
    program::StatusArguments status;
    std::string key, server, cluster, dump_to = "-";
    std::optional<std::string> value;
    bool yes = false;
};

constexpr auto examples =
    "  viewd tcp://127.0.0.1:7000 &\n"
    "  pbd tcp://127.0.0.1:7000 tcp://127.0.0.1:7001 &\n"
    "  pbd tcp://127.0.0.1:7000 tcp://127.0.0.1:7002 &\n"
    "  pbc tcp://127.0.0.1:7000 put colour blue\n"
    "  pbc tcp://127.0.0.1:7000 get colour\n"
    "  pbc tcp://127.0.0.1:7000 put photo < photo.jpg\n"
    "  pbc tcp://127.0.0.1:7000 dump backup.jsonl\n"
    "  pbc tcp://127.0.0.1:7000 dump | pbc tcp://127.0.0.1:7000 --group copy load\n"
    "  pbc tcp://127.0.0.1:7000 status\n";

/// Adds a command; `what` names the argument that messages about the command quote, if any.
CLI::App* add(CLI::App& app, Request& request, const std::string& name, const std::string& help,
              std::function<asio::awaitable<Exit>(CommandContext&)> start, const std::string* what = nullptr) {
    auto* command = app.add_subcommand(name, help);
    command->callback([&request, name, start = std::move(start), what] {
        request.doing = name + (what ? " " + understudy::wire::quoted(*what) : "");
        request.start = start;
    });
    return command;
}

void add_data_commands(CLI::App& app, Request& request) {
    auto* get = add(
        app, request, "get", "Print the value of a key",
        [&](CommandContext& context) { return program::get(context, request.key); }, &request.key);
    get->add_option("KEY", request.key)->required();

    auto* put = add(
        app, request, "put", "Set the value of a key",
        [&](CommandContext& context) { return program::put(context, request.put); }, &request.put.key);
    put->add_option("KEY", request.put.key)->required();
    put->add_option("VALUE", request.put.value, "The value; absent or -: all of stdin");
    put->add_flag("--pieces", request.put.pieces,
                  "Write what is too long for one command piece by piece; others may see a part");
    program::add_size(*put, "--max-command", request.put.max_command,
                      "The longest command that the servers take [1MiB]");

    auto* append = add(
        app, request, "append", "Add to the end of a value, and print its new length",
        [&](CommandContext& context) { return program::append(context, request.key, request.value); }, &request.key);
    append->add_option("KEY", request.key)->required();
    append->add_option("VALUE", request.value, "What to add; absent or -: all of stdin");

    auto* erase = add(
        app, request, "erase", "Remove a key; 3 if there was none",
        [&](CommandContext& context) { return program::erase(context, request.key); }, &request.key);
    erase->add_option("KEY", request.key)->required();

    auto* cas = add(
        app, request, "cas", "Set a key if it does not exist, or if its value is OLD; else 3, and print its value",
        [&](CommandContext& context) { return program::compare_and_set(context, request.cas); }, &request.cas.key);
    cas->add_option("KEY", request.cas.key)->required();
    cas->add_option("NEW", request.cas.value, "The new value; -: all of stdin")->required();
    cas->add_option("--expect", request.cas.expect, "The value that it must have now")->type_name("OLD");

    auto* keys = add(app, request, "keys", "List keys in the order of their bytes",
                     [&](CommandContext& context) { return program::keys(context, request.keys); });
    keys->add_option("--prefix", request.keys.prefix, "Only keys that start so")->type_name("TEXT");
    keys->add_option("--after", request.keys.after, "Only keys after this one")->type_name("KEY");
    keys->add_option("--limit", request.keys.limit, "At most so many")
        ->type_name("N")
        ->capture_default_str()
        ->check(CLI::Range(1, 1'000'000'000));
    keys->add_flag("--all", request.keys.all, "All of them");
    keys->add_flag("--json", request.keys.json, "Each as JSON, which tells a key with a line end from two keys");
}

void add_transfer_commands(CLI::App& app, Request& request) {
    auto* dump = add(app, request, "dump", "Write a consistent snapshot of the group at work, as lines of JSON",
                     [&](CommandContext& context) { return program::dump(context, request.dump_to); });
    dump->add_option("FILE", request.dump_to, "Replaced once all of the snapshot is on the disk; absent or -: stdout");
    auto* load = add(
        app, request, "load", "Put the lines of a dump into the group",
        [&](CommandContext& context) { return program::load(context, request.load); }, &request.load.file);
    load->add_option("FILE", request.load.file, "Absent or -: stdin");
    program::add_size(*load, "--max-command", request.load.max_command,
                      "The longest command that the servers take; what is longer is put in pieces [1MiB]");
}

void add_operator_commands(CLI::App& app, Request& request) {
    auto* status = add(app, request, "status", "Show the view, every server, and for whom the group waits",
                       [&](CommandContext& context) { return program::status(context, request.status); });
    status->add_flag("--all", request.status.all, "Show all groups");
    status->add_flag("--json", request.status.json, "Print what view service and primary answered");
    program::add_count(*status, "--events", request.status.events, "At most so many recent events");
    add(app, request, "watch", "Print each view as it comes, until interrupted",
        [](CommandContext& context) { return program::watch(context); });
    auto* promote = add(
        app, request, "promote", "Hand over to a backup that is in sync; nothing is lost",
        [&](CommandContext& context) { return program::promote(context, request.server); }, &request.server);
    program::add_address(*promote, "SERVER", request.server, "Its name, as status shows it")->required();
    auto* force = add(
        app, request, "force", "Last resort, of a group that waits: make a live server primary and lose what it lacks",
        [&](CommandContext& context) { return program::force(context, request.server, request.yes); }, &request.server);
    program::add_address(*force, "SERVER", request.server, "Its name, as status shows it")->required();
    force->add_flag("--yes", request.yes, "Do not ask");
    auto* adopt = add(
        app, request, "adopt", "Go on with the group of a view service that is lost with all that it had stored",
        [&](CommandContext& context) { return program::adopt(context, request.cluster, request.yes); },
        &request.target.group);
    adopt->add_option("GROUP", request.target.group)->required();
    adopt->add_option("CLUSTER", request.cluster, "Its id, as viewd prints it when it refuses a server")->required();
    adopt->add_flag("--yes", request.yes, "Do not ask");
    auto* remove = add(
        app, request, "remove-group", "Remove a group whose servers are all lost for good, with their state",
        [&](CommandContext& context) { return program::remove_group(context, request.yes); }, &request.target.group);
    remove->add_option("NAME", request.target.group)->required();
    remove->add_flag("--yes", request.yes, "Do not ask");
}

/// Shows the place of VIEW_SERVICE, also in the help of one command.
struct Formatter : CLI::Formatter {
    std::string make_usage(const CLI::App* app, std::string name) const override {
        return CLI::Formatter::make_usage(app, app->get_parent() ? "pbc VIEW_SERVICE " + app->get_name() : name);
    }
};

std::vector<std::string> commands(const CLI::App& app) {
    std::vector<std::string> names;
    for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; }))
        names.push_back(command->get_name());
    return names;
}

/// Explains the two mistakes that the parser does not name: no VIEW_SERVICE, and a word that is not a command.
std::string say_mistake(const CLI::App& app, const std::vector<std::string>& words) {
    const auto known = commands(app);
    if (!words.empty() && std::ranges::find(known, words.front()) != known.end())
        return "VIEW_SERVICE comes first: pbc VIEW_SERVICE " + words.front() + " ...";
    const auto left = app.remaining();
    if (!app.get_subcommands().empty() || left.empty() || left.front().starts_with('-')) return {};
    return understudy::wire::quoted(left.front()) + " is no command; there are " + understudy::detail::join(known);
}

std::optional<Exit> read(Request& request, int argc, char** argv) {
    CLI::App app{
        "A client of a replicated key/value store, and its operator's tool.\n"
        "Values are printed as they are; a line end is added only on a terminal.\n"
        "For keys and values, dump and load VIEW_SERVICE may also be a server of the group, if viewd is gone.\n"
        "A KEY or VALUE that starts with - goes after --. `pbc VIEW_SERVICE COMMAND --help` tells of one command.",
        "pbc"};
    app.formatter(std::make_shared<Formatter>());
    program::describe(app, examples);
    program::add_addresses(app, "VIEW_SERVICE", request.target.view_service,
                           "Where viewd listens, or for data a server (pbd); several are tried in turn")
        ->required();
    app.add_option("--group", request.target.group, "The group")->type_name("NAME")->capture_default_str();
    program::add_seconds(app, "--timeout", request.target.timeout, "How long to try [5; promote, force and adopt: 30]");
    app.fallthrough();  // options of all commands may also come after the command
    app.require_subcommand(1);
    add_data_commands(app, request);
    add_transfer_commands(app, request);
    add_operator_commands(app, request);
    return program::parse(app, argc, argv, say_mistake);
}

/// Runs the command and prints its result.
asio::awaitable<Exit> perform(CommandContext& context, const Request& request) {
    std::error_code failed;
    try {
        Exit exit = co_await request.start(context);
        program::flush_printed();
        co_return exit;
    } catch (const std::system_error& failure) {
        failed = failure.code();
        if (failed.category() != understudy::error_category()) throw;
    }
    program::Ended ended = co_await program::explain(context, failed);
    throw ended;
}

Exit run(const Request& request) {
    asio::io_context io{1};
    CommandContext context{io, request.target, request.doing};
    auto exit = Exit::failed;
    asio::co_spawn(io, perform(context, request), [&](std::exception_ptr thrown, Exit result) {
        context.stop();
        exit = result;
        if (thrown) std::rethrow_exception(thrown);
    });
    io.run();
    return exit;
}

}  // namespace

int main(int argc, char** argv) {
    program::prepare_process();
    Request request;
    if (const auto exit = read(request, argc, argv)) return static_cast<int>(*exit);
    return static_cast<int>(program::guarded("pbc", [&] { return run(request); }));
}
