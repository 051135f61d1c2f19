// pbc: a client of a replicated key/value store, and its operator's tool, as a program.
#include <functional>
#include <optional>
#include <string>
#include <utility>

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
program::Arguments add(const program::CommandLine& line, Request& request, const std::string& name,
                       const std::string& help, std::function<asio::awaitable<Exit>(CommandContext&)> start,
                       const std::string* what = nullptr) {
    return line.command(name, help, [&request, name, start = std::move(start), what] {
        request.doing = name + (what ? " " + understudy::wire::quoted(*what) : "");
        request.start = start;
    });
}

void add_data_commands(const program::CommandLine& line, Request& request) {
    const auto get = add(
        line, request, "get", "Print the value of a key",
        [&](CommandContext& context) { return program::get(context, request.key); }, &request.key);
    get.text("KEY", request.key).required();

    const auto put = add(
        line, request, "put", "Set the value of a key",
        [&](CommandContext& context) { return program::put(context, request.put); }, &request.put.key);
    put.text("KEY", request.put.key).required();
    put.text("VALUE", request.put.value, "The value; absent or -: all of stdin");
    put.flag("--pieces", request.put.pieces,
             "Write what is too long for one command piece by piece; others may see a part");
    put.size("--max-command", request.put.max_command, "The longest command that the servers take [1MiB]");

    const auto append = add(
        line, request, "append", "Add to the end of a value, and print its new length",
        [&](CommandContext& context) { return program::append(context, request.key, request.value); }, &request.key);
    append.text("KEY", request.key).required();
    append.text("VALUE", request.value, "What to add; absent or -: all of stdin");

    const auto erase = add(
        line, request, "erase", "Remove a key; 3 if there was none",
        [&](CommandContext& context) { return program::erase(context, request.key); }, &request.key);
    erase.text("KEY", request.key).required();

    const auto cas = add(
        line, request, "cas", "Set a key if it does not exist, or if its value is OLD; else 3, and print its value",
        [&](CommandContext& context) { return program::compare_and_set(context, request.cas); }, &request.cas.key);
    cas.text("KEY", request.cas.key).required();
    cas.text("NEW", request.cas.value, "The new value; -: all of stdin").required();
    cas.text("--expect", request.cas.expect, "The value that it must have now").called("OLD");

    const auto keys = add(line, request, "keys", "List keys in the order of their bytes",
                          [&](CommandContext& context) { return program::keys(context, request.keys); });
    keys.text("--prefix", request.keys.prefix, "Only keys that start so").called("TEXT");
    keys.text("--after", request.keys.after, "Only keys after this one").called("KEY");
    keys.count("--limit", request.keys.limit, "At most so many").between(1, 1'000'000'000);
    keys.flag("--all", request.keys.all, "All of them");
    keys.flag("--json", request.keys.json, "Each as JSON, which tells a key with a line end from two keys");
}

void add_transfer_commands(const program::CommandLine& line, Request& request) {
    const auto dump = add(line, request, "dump", "Write a consistent snapshot of the group at work, as lines of JSON",
                          [&](CommandContext& context) { return program::dump(context, request.dump_to); });
    dump.text("FILE", request.dump_to, "Replaced once all of the snapshot is on the disk; absent or -: stdout");
    const auto load = add(
        line, request, "load", "Put the lines of a dump into the group",
        [&](CommandContext& context) { return program::load(context, request.load); }, &request.load.file);
    load.text("FILE", request.load.file, "Absent or -: stdin");
    load.size("--max-command", request.load.max_command,
              "The longest command that the servers take; what is longer is put in pieces [1MiB]");
}

void add_operator_commands(const program::CommandLine& line, Request& request) {
    const auto status = add(line, request, "status", "Show the view, every server, and for whom the group waits",
                            [&](CommandContext& context) { return program::status(context, request.status); });
    status.flag("--all", request.status.all, "Show all groups");
    status.flag("--json", request.status.json, "Print what view service and primary answered");
    status.count("--events", request.status.events, "At most so many recent events");
    add(line, request, "watch", "Print each view as it comes, until interrupted",
        [](CommandContext& context) { return program::watch(context); });
    const auto promote = add(
        line, request, "promote", "Hand over to a backup that is in sync; nothing is lost",
        [&](CommandContext& context) { return program::promote(context, request.server); }, &request.server);
    promote.address("SERVER", request.server, "Its name, as status shows it").required();
    const auto force = add(
        line, request, "force", "Last resort, of a group that waits: make a live server primary and lose what it lacks",
        [&](CommandContext& context) { return program::force(context, request.server, request.yes); }, &request.server);
    force.address("SERVER", request.server, "Its name, as status shows it").required();
    force.flag("--yes", request.yes, "Do not ask");
    const auto adopt = add(
        line, request, "adopt", "Go on with the group of a view service that is lost with all that it had stored",
        [&](CommandContext& context) { return program::adopt(context, request.cluster, request.yes); },
        &request.target.group);
    adopt.text("GROUP", request.target.group).required();
    adopt.text("CLUSTER", request.cluster, "Its id, as viewd prints it when it refuses a server").required();
    adopt.flag("--yes", request.yes, "Do not ask");
    const auto remove = add(
        line, request, "remove-group", "Remove a group whose servers are all lost for good, with their state",
        [&](CommandContext& context) { return program::remove_group(context, request.yes); }, &request.target.group);
    remove.text("NAME", request.target.group).required();
    remove.flag("--yes", request.yes, "Do not ask");
}

std::optional<Exit> read(Request& request, int argc, char** argv) {
    const program::CommandLine line{
        "pbc",
        "A client of a replicated key/value store, and its operator's tool.\n"
        "Values are printed as they are; a line end is added only on a terminal.\n"
        "For keys and values, dump and load VIEW_SERVICE may also be a server of the group, if viewd is gone.\n"
        "A KEY or VALUE that starts with - goes after --. `pbc VIEW_SERVICE COMMAND --help` tells of one command.",
        examples};
    line.addresses("VIEW_SERVICE", request.target.view_service,
                   "Where viewd listens, or for data a server (pbd); several are tried in turn")
        .required();
    line.text("--group", request.target.group, "The group").called("NAME").shows_default();
    line.seconds("--timeout", request.target.timeout, "How long to try [5; promote, force and adopt: 30]");
    add_data_commands(line, request);
    add_transfer_commands(line, request);
    add_operator_commands(line, request);
    return line.parse(argc, argv);
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
