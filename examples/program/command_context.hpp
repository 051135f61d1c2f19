// Shared by the commands of pbc: a clerk of the group, an operator's tools, and the information for error messages.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <system_error>
#include <variant>
#include <vector>

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

#include <understudy/admin.hpp>
#include <understudy/clerk.hpp>
#include <understudy/net/any.hpp>

#include "console.hpp"

namespace program {

using namespace std::chrono_literals;
using understudy::Address;
using understudy::Duration;
using understudy::net::AnyTransport;

/// The part of the command line that all commands share.
struct Target {
    std::vector<Address> view_service;
    std::string group = "main";
    std::optional<Duration> timeout;

    Duration timeout_or(Duration usual) const { return timeout.value_or(usual); }
    Duration data_timeout() const { return timeout_or(5s); }
    /// The part of the timeout that is reserved for finding out why a call for data had no answer.
    Duration explaining() const { return std::min<Duration>(data_timeout() / 5, 1s); }
};

/// `5 s`, `0.25 s`.
inline std::string seconds(Duration duration) {
    char text[32];
    std::snprintf(text, sizeof text, "%.3g s", std::chrono::duration<double>{duration}.count());
    return text;
}

struct CommandContext {
    asio::io_context& io;
    Target target;
    std::string doing;  ///< The command and its argument, for messages.
    std::string why;    ///< The library's last report of a failure.
    understudy::Clerk<AnyTransport> clerk;
    understudy::Admin<AnyTransport>
        admin;  ///< For reads: each of several view services gets only its share of the time.
    understudy::Admin<AnyTransport> decider;  ///< For calls that change views, which may take several D.
    understudy::Admin<AnyTransport> glimpse;  ///< For optional information.
    understudy::Admin<AnyTransport> explainer;

    CommandContext(asio::io_context& context, Target wanted, std::string what)
        : io{context},
          target{std::move(wanted)},
          doing{std::move(what)},
          clerk{AnyTransport{io}, clerk_options(), observer()},
          admin{AnyTransport{io}, target.data_timeout() / static_cast<int>(target.view_service.size()), observer()},
          decider{AnyTransport{io}, target.timeout_or(30s), observer()},
          glimpse{AnyTransport{io}, std::min<Duration>(target.data_timeout(), 1s)},
          explainer{AnyTransport{io}, target.explaining() / static_cast<int>(target.view_service.size())} {}

    void stop() {
        clerk.stop();
        admin.stop();
        decider.stop();
        glimpse.stop();
        explainer.stop();
    }

private:
    understudy::ClientOptions clerk_options() const {
        understudy::ClientOptions options;
        options.view_service = target.view_service;
        options.group = target.group;
        options.give_up_after = target.data_timeout() - target.explaining();
        return options;
    }
    understudy::Observer observer() {
        return [this](const understudy::Event& event) {
            using understudy::printable;
            if (const auto* failed = std::get_if<understudy::CallFailed>(&event)) why = printable(failed->why);
            if (const auto* refused = std::get_if<understudy::Refused>(&event)) why = printable(refused->what);
        };
    }
};

inline std::string nobody_there(const Target& target) {
    return "no answer from " + understudy::detail::join(target.view_service) + " within " +
           seconds(target.data_timeout()) +
           (target.view_service.size() == 1 ? " (is viewd running there?)" : " (is viewd running at any of them?)");
}

/// The first view service that answers, and its view of the group.
struct Service {
    Address address;
    understudy::ViewInfo info;
};
inline asio::awaitable<Service> find_view_service(CommandContext& context, understudy::Admin<AnyTransport>& admin) {
    for (const auto& address : context.target.view_service) {
        std::error_code ec;
        understudy::ViewInfo info =
            co_await admin.async_view(address, context.target.group, asio::redirect_error(asio::use_awaitable, ec));
        if (!ec) co_return Service{address, std::move(info)};
        // `status` and `adopt` go on without a view (R7)
        const bool goes_on = ec == understudy::error::behind && &admin == &context.admin;
        if (goes_on) co_return Service{address, {}};
        if (ec != understudy::error::deadline_passed)
            throw Ended{exit_code(ec), address + ": " + (context.why.empty() ? ec.message() : context.why)};
    }
    throw Ended{Exit::no_answer, nobody_there(context.target)};
}
inline asio::awaitable<Service> find_view_service(CommandContext& context) {
    return find_view_service(context, context.admin);
}

/// The servers that are refused, and the command that continues with their state.
inline std::string describe_refused(const std::vector<understudy::RefusedServer>& refused,
                                    const Address& view_service) {
    using understudy::printable;
    std::string text;
    for (const auto& server : refused)
        text += "refused " + printable(server.name) + ": it has view " + std::to_string(server.viewnum) +
                " of cluster " + to_hex(server.cluster) + "\n  To go on with group " + printable(server.group) +
                " of that cluster, if its view service is gone for good: pbc " + view_service + " adopt " +
                printable(server.group) + ' ' + to_hex(server.cluster) + '\n';
    return text;
}

/// Why a group has no view: no server was started, or the servers that have its state are refused.
inline asio::awaitable<std::string> nobody_serves(CommandContext& context, Address view_service) {
    const auto& group = context.target.group;
    const std::optional<std::string> wanted = group;
    std::error_code ec;
    understudy::ViewStatusResult status = co_await context.explainer.async_view_status(
        view_service, wanted, asio::redirect_error(asio::use_awaitable, ec));
    if (!ec && !status.refused.empty()) {
        co_return "group " + group + " has no view here, and servers that hold its state are refused\n" +
            describe_refused(status.refused, view_service) + "Each can be asked for a dump: `pbc SERVER --group " +
            group + " dump FILE`";
    }
    co_return "group " + group + " has no server yet; start one: pbd " + view_service + " LISTEN --group " + group +
        "\nIf viewd was started anew, servers from before still hold the data: do not stop them before "
        "`pbc SERVER --group " + group + " dump FILE`";
}

/// The text and the exit code for a call that failed with this code.
inline asio::awaitable<Ended> explain(CommandContext& context, std::error_code ec) {
    const auto exit = exit_code(ec);
    if (exit == Exit::no_answer && context.clerk.view().view.number == 0) {
        Service service = co_await find_view_service(context, context.explainer);
        if (service.info.view.number == 0) {
            const std::string text = co_await nobody_serves(context, service.address);
            co_return Ended{exit, text};
        }
    }
    auto text = context.doing + ": " + ec.message();
    if (!context.why.empty() && ec.category() == understudy::error_category() && exit != Exit::no_match)
        text += " (" + context.why + ")";
    if (exit == Exit::unknown || exit == Exit::no_answer)
        text += "; `pbc " + context.target.view_service.front() + " --group " + context.target.group +
                " status` says more";
    co_return Ended{exit, text};
}

}  // namespace program
