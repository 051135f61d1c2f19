// A check of a serving primary after each of its turns: every backup that its view or its ping calls in sync must be in
// its in-sync set (S4). Otherwise it could commit without a backup that is then promoted.
#pragma once

#include <algorithm>
#include <string>
#include <variant>

#include <understudy/replica/state_machine.hpp>

namespace understudy::test {

using namespace protocol;
using namespace replica;

/// The name of a backup that may be promoted and is not in the in-sync set; empty if there is none. `sent`: the
/// messages of the turn that just ended.
template <typename S>
Address not_counted_on(const ReplicaStateMachine<S>& machine, const replica::Output& sent, Time now) {
    if (!machine.serving()) return {};
    const auto backups = machine.status(now).backups;
    const auto counts = [&](const Address& name) {
        const auto found = std::ranges::find(backups, name, &BackupStatus::name);
        return found != backups.end() && (found->state == "in_sync" || found->state == "unreachable");
    };
    for (const auto& backup : machine.view().view.backups)
        if (backup.synced && !counts(backup.name)) return backup.name;
    for (const auto& envelope : sent.outbox) {
        const auto* ping = std::get_if<Ping>(&envelope.message);
        if (!ping || !ping->synced) continue;
        for (const auto& name : *ping->synced)
            if (!counts(name)) return name;
    }
    return {};
}

}  // namespace understudy::test
