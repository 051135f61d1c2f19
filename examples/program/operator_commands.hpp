// pbc's commands for operators: the state of a group, and the choice of its primary.
#pragma once

#include <unistd.h>

#include <csignal>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <asio/signal_set.hpp>

#include <understudy/status.hpp>

#include "server.hpp"
#include "status_text.hpp"

namespace program {

inline asio::awaitable<GroupReport> report(CommandContext& context, understudy::GroupStatus status) {
    GroupReport group{std::move(status), {}};
    const auto& primary = group.status.info.view.primary.name;
    const auto server = std::ranges::find(group.status.servers, primary, &understudy::ServerStatus::name);
    if (server == group.status.servers.end() || server->role != "primary") co_return group;
    std::error_code ec;
    understudy::ReplicaStatusResult answer =
        co_await context.glimpse.async_replica_status(primary, asio::redirect_error(asio::use_awaitable, ec));
    if (!ec) group.primary = std::move(answer);
    co_return group;
}

struct StatusArguments {
    bool all = false, json = false;
    std::size_t events = 10;
};
inline asio::awaitable<Exit> status(CommandContext& context, StatusArguments given) {
    Service service = co_await find_view_service(context);
    std::optional<std::string> wanted;
    if (!given.all) wanted = context.target.group;
    understudy::ViewStatusResult status = co_await context.admin.async_view_status(service.address, wanted);
    if (wanted) keep_events_of(*wanted, status.events);
    std::vector<GroupReport> groups;
    for (const auto& group : status.groups) {
        GroupReport one = co_await report(context, group);
        groups.push_back(std::move(one));
    }
    if (given.json) {
        print_line(to_json(status, groups));
        co_return Exit::done;
    }
    if (groups.empty() && status.refused.empty())
        print_line((given.all ? "no group" : "no server of group " + context.target.group) + " was heard yet");
    for (const auto& group : groups) print(describe_group(group, service.address));
    print(describe_refused(status.refused, service.address));
    print(describe_events(status.events, given.events));
    co_return Exit::done;
}

/// Prints every view until a signal ends it.
inline asio::awaitable<Exit> watch(CommandContext& context) {
    Service service = co_await find_view_service(context);
    asio::signal_set signals{context.io, SIGINT, SIGTERM};
    bool interrupted = false;
    signals.async_wait([&](std::error_code ec, int) {
        if (ec) return;
        interrupted = true;
        context.stop();
    });
    std::function<void(const understudy::ViewInfo&)> show = [](const understudy::ViewInfo& info) {
        print_line(time_stamp() + " " + understudy::printable(info.group + ": " + describe(info.view)));
    };
    std::error_code ec;
    co_await context.admin.async_watch(service.address, context.target.group, show,
                                    asio::redirect_error(asio::use_awaitable, ec));
    if (!interrupted) throw std::system_error{ec};
    co_return Exit::done;
}

inline asio::awaitable<Exit> promote(CommandContext& context, Address server) {
    Service service = co_await find_view_service(context);
    understudy::ViewInfo info = co_await context.decider.async_promote(service.address, context.target.group, server);
    print_line(understudy::printable(describe(info.view)));
    co_return Exit::done;
}

/// What an operator must know before a view is forced. Throws if forcing is not possible or not needed, because then a
/// warning of loss would be pointless.
inline std::string price_of_force(const CommandContext& context, const understudy::ViewStatusResult& status,
                                  const Address& server) {
    const auto refuse = [&](const std::string& why) { throw Ended{Exit::failed, context.doing + ": " + why}; };
    if (status.groups.empty()) refuse("no server of this group was heard");
    const auto& group = status.groups.front();
    const auto known = std::ranges::find(group.servers, server, &understudy::ServerStatus::name);
    if (known == group.servers.end()) refuse(server + " is not known in this group; it must run and ping first");
    if (known->role == "dead") refuse(server + " is dead; it must run and ping first");
    if (group.waiting_for.empty())
        refuse("the group does not wait: " + describe(group.info.view) +
               "; `promote` changes the primary, and loses nothing. If its servers have just died, ask again when "
               "`status` shows it");
    const understudy::Member member{server, known->incarnation, false};
    return describe(group.info.view) + "\n" + understudy::may_be_lost(group.info.view, member);
}

/// Prints a warning before an action that may lose data, and asks. Throws unless the answer is yes.
inline void warn(const CommandContext& context, const std::string& warning, const std::string& question, bool yes) {
    std::cerr << understudy::printable(warning, true) << '\n';
    if (yes) return;
    if (!::isatty(STDIN_FILENO))
        throw Ended{Exit::failed,
                    context.doing + ": asks first, but stdin is no terminal; --yes goes on without asking"};
    if (!confirmed(question)) throw Ended{Exit::failed, context.doing + ": nothing was changed"};
}

inline asio::awaitable<Exit> force(CommandContext& context, Address server, bool yes) {
    Service service = co_await find_view_service(context);
    const std::optional<std::string> group = context.target.group;
    understudy::ViewStatusResult status = co_await context.admin.async_view_status(service.address, group);
    warn(context, price_of_force(context, status, server), "Make " + server + " primary?", yes);
    understudy::ViewForceResult result =
        co_await context.decider.async_force(service.address, context.target.group, server);
    print_line(understudy::printable(describe(result.info.view)));
    co_return Exit::done;
}

constexpr auto price_of_adoption =
    "This is for a group whose former view service is lost for good with all that it had stored: never start that one\n"
    "again; or for one whose record is behind, as an older copy of it was put back. The group goes on from the newest\n"
    "view that its servers report. If there was a later one that nobody reports, what was answered there is lost, and\n"
    "its primary goes on until it is stopped: first stop every server of the group that cannot reach the view service.";

inline asio::awaitable<Exit> adopt(CommandContext& context, std::string cluster, bool yes) {
    const auto token = understudy::from_hex(cluster);
    if (!token || cluster.size() != 16)
        throw Ended{Exit::usage, context.doing + ": a cluster has 16 hexadecimal digits, as viewd prints it when it "
                                              "refuses a server of it"};
    Service service = co_await find_view_service(context);
    warn(context, price_of_adoption, "Adopt group " + context.target.group + " of cluster " + cluster + "?", yes);
    const auto id = static_cast<understudy::ClusterId>(*token);
    understudy::ViewForceResult result =
        co_await context.decider.async_adopt(service.address, context.target.group, id);
    std::cerr << understudy::printable(result.may_be_lost, true) << '\n';
    print_line(understudy::printable(describe(result.info.view)));
    co_return Exit::done;
}

inline asio::awaitable<Exit> remove_group(CommandContext& context, bool yes) {
    Service service = co_await find_view_service(context);
    warn(context, "The view service forgets group " + context.target.group + ", " + describe(service.info.view) +
                   ". What its servers hold is given up: a group of that name begins anew, and they drop it.",
         "Remove group " + context.target.group + "?", yes);
    understudy::ViewInfo last = co_await context.decider.async_remove_group(service.address, context.target.group);
    print_line("removed " + last.group + ", last in " + describe(last.view));
    co_return Exit::done;
}

}  // namespace program
