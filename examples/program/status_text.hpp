// `pbc status`: the reports of the view service and of the primary, as text for people and as JSON.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include <understudy/json_text.hpp>

#include "command_context.hpp"

namespace program {

/// One group, and its primary's own report, if the primary answered.
struct GroupReport {
    understudy::GroupStatus status;
    std::optional<understudy::ReplicaStatusResult> primary;
};

inline std::string age(Duration duration) {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
    if (ms < 1'000) return std::to_string(ms) + " ms";
    return ms < 120'000 ? std::to_string(ms / 1'000) + " s" : std::to_string(ms / 60'000) + " min";
}

/// `100 of 250 entries`, `3145728 bytes of a snapshot`, or the state of a backup in sync.
inline std::string progress(const understudy::ReplicaStatusResult& primary, std::string_view server) {
    const auto backup = std::ranges::find(primary.backups, server, &understudy::BackupStatus::name);
    if (backup == primary.backups.end()) return {};
    const auto entries = std::to_string(backup->match) + " of " + std::to_string(primary.last) + " entries";
    if (backup->state == "in_sync") return "in sync, has " + entries;
    if (backup->state == "log") return "not in sync yet, has " + entries;
    if (backup->state == "snapshot")
        return "not in sync yet, has " + std::to_string(backup->sent) + " bytes of a snapshot";
    return "does not answer the primary, had " + entries;
}

inline std::string describe_server(const GroupReport& group, const understudy::ServerStatus& server) {
    char start[320];
    std::snprintf(start, sizeof start, "  %-8s %-30s heard %s ago", server.role.c_str(), server.name.c_str(),
                  age(server.last_ping).c_str());
    std::string line = start;
    const bool member = server.role == "backup" || server.role == "joining";
    if (server.role == "primary" && group.primary)
        line += ", log " + std::to_string(group.primary->first) + " to " + std::to_string(group.primary->last) +
                ", committed " + std::to_string(group.primary->commit) + ", " +
                std::to_string(group.primary->sessions) + " sessions";
    else if (server.role == "primary")
        line += ", does not answer";
    const auto how = member && group.primary ? progress(*group.primary, server.name) : std::string{};
    if (!how.empty())
        line += ", " + how;
    else if (member)
        line += server.role == "backup" ? ", in sync" : ", not in sync yet";
    line = understudy::printable(line);
    if (!server.trouble.empty()) line += "\n           " + understudy::printable(server.trouble);
    return line + '\n';
}

/// Which servers the group waits for, why, and the command that ends the wait.
inline std::string describe_wait(const understudy::GroupStatus& status, const Address& view_service) {
    if (status.waiting_for.empty()) return {};
    using understudy::printable;
    if (status.waiting_why.starts_with("R7"))  // the reason itself names the command
        return "  DECIDES NOTHING\n  " + printable(status.waiting_why) + "\n  VIEW_SERVICE is " + view_service + '\n';
    return "  WAITS for " + printable(understudy::detail::join(status.waiting_for)) + "\n  " +
           printable(status.waiting_why) +
           "\n  If nothing else helps, to end the wait and lose what only they have: pbc " + view_service +
           " --group " + printable(status.info.group) + " force SERVER\n";
}

inline std::string describe_group(const GroupReport& group, const Address& view_service) {
    const auto& status = group.status;
    using understudy::printable;
    auto text = "group " + printable(status.info.group) + " of cluster " + to_hex(status.info.cluster) + '\n';
    text += "  " + printable(describe(status.info.view));
    if (status.info.view.number != 0) text += status.acked ? ", acknowledged" : ", not acknowledged yet";
    text += '\n';
    for (const std::string_view role : {"primary", "backup", "joining", "idle", "leaving", "dead"})
        for (const auto& server : status.servers)
            if (server.role == role) text += describe_server(group, server);
    return text + describe_wait(status, view_service);
}

/// A view service of an older version returns the events of all groups. The text of each event begins with its group.
inline void keep_events_of(const std::string& group, std::vector<understudy::PastEvent>& events) {
    const auto begin = understudy::printable(group) + ": ";
    std::erase_if(events, [&](const auto& event) { return !event.text.starts_with(begin); });
}

/// The latest events.
inline std::string describe_events(const std::vector<understudy::PastEvent>& events, std::size_t most) {
    if (events.empty() || most == 0) return {};
    std::string text = "recent events\n";
    const auto skipped = events.size() - std::min(most, events.size());
    for (auto event = events.begin() + static_cast<std::ptrdiff_t>(skipped); event != events.end(); ++event)
        text += "  " + age(event->age) + " ago: " + understudy::printable(event->text) + '\n';
    return text;
}

/// The results of `view.status` and of each primary's `pb.status`, as docs/protocol.md describes them.
inline std::string to_json(const understudy::ViewStatusResult& status, const std::vector<GroupReport>& groups) {
    std::string text = "{\"view.status\":" + understudy::json_text(status) + ",\"pb.status\":[";
    const char* separator = "";
    for (const auto& group : groups) {
        if (!group.primary) continue;
        text += std::exchange(separator, ",") + understudy::json_text(*group.primary);
    }
    return text + "]}";
}

}  // namespace program
