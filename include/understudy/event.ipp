// The human-readable text of each event.
#pragma once

#include <chrono>
#include <string>
#include <variant>

#include <understudy/base/config.hpp>
#include <understudy/base/printable.hpp>
#include <understudy/error.hpp>
#include <understudy/event.hpp>
#include <understudy/view.hpp>

namespace understudy {

UNDERSTUDY_DECL std::string describe(const Event& event) {
    struct Printer {
        std::string operator()(const ViewDecided& e) const {
            return e.info.group + ": " + describe(e.info.view) + " (" + e.why + ")";
        }
        std::string operator()(const ServerSeen& e) const {
            return e.group + ": heard " + e.server + ", incarnation " + to_hex(e.incarnation);
        }
        std::string operator()(const ServerLost& e) const { return e.group + ": lost " + e.server + ": " + e.why; }
        std::string operator()(const NameShared& e) const {
            return e.group + ": two processes under one name " + e.server + ": one pings from " + e.holder +
                   ", another, which is refused, from " + e.refused;
        }
        std::string operator()(const GroupRemoved& e) const {
            return e.info.group + ": removed, last in " + describe(e.info.view) + ": " + e.why;
        }
        std::string operator()(const GroupWaits& e) const {
            return e.group + ": waits for " + detail::join(e.waiting_for) + ": " + e.why;
        }
        std::string operator()(const RecordBehind& e) const { return e.group + ": " + e.what; }
        std::string operator()(const ViewStoreFailed& e) const {
            return "the view store: " + std::string{to_string(e.code)} + ": " + e.what;
        }
        std::string operator()(const RoleChanged& e) const {
            return e.group + ": " + std::string{to_string(e.role)} + " in view " + std::to_string(e.view);
        }
        std::string operator()(const SteppedDown& e) const {
            return e.group + ": stepped down in view " + std::to_string(e.view) + ": " + e.why;
        }
        std::string operator()(const BackupJoining& e) const {
            return "backup " + e.backup + " joins view " + std::to_string(e.view) +
                   (e.by_snapshot ? " by snapshot" : " from the log");
        }
        std::string operator()(const BackupInSync& e) const {
            return "backup " + e.backup + " is in sync in view " + std::to_string(e.view) + " at " +
                   std::to_string(e.match);
        }
        std::string operator()(const BackupUnreachable& e) const {
            return "backup " + e.backup + " does not acknowledge in view " + std::to_string(e.view);
        }
        std::string operator()(const SnapshotInstalled& e) const {
            return "installed a snapshot of " + std::to_string(e.bytes) + " bytes at index " +
                   std::to_string(e.at.index);
        }
        std::string operator()(const LogTruncated& e) const {
            return "truncated " + std::to_string(e.entries) + (e.committed ? " committed" : "") +
                   " entries from index " + std::to_string(e.from);
        }
        std::string operator()(const SessionClosed& e) const {
            return "closed unused session " + std::to_string(e.session.view) + "." + std::to_string(e.session.index);
        }
        std::string operator()(const StoreFailed& e) const { return "the store failed: " + e.what; }
        std::string operator()(const SlowStore& e) const {
            const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(e.took).count();
            return "the store took " + std::to_string(took) + " ms for one " + e.call +
                   ": a server that is silent for so long may be taken for dead";
        }
        std::string operator()(const StoreBehind& e) const {
            return "the store is slow: " + std::to_string(e.entries) + " committed entries wait to be applied";
        }
        std::string operator()(const JournalFailed& e) const { return "stable storage failed: " + e.what; }
        std::string operator()(const JournalWaits& e) const {
            return "stable storage waits for a free descriptor: " + e.what;
        }
        std::string operator()(const JournalGoesOn&) const { return "stable storage goes on"; }
        std::string operator()(const ViewServiceSilent& e) const {
            return "the view service at " + e.address + " does not answer";
        }
        std::string operator()(const ViewServiceAnswers& e) const {
            return "the view service at " + e.address + " answers again";
        }
        std::string operator()(const CallFailed& e) const {
            return "a call ended with " + std::string{to_string(e.code)} + ": " + e.why;
        }
        std::string operator()(const Refused& e) const {
            return "refused " + std::string{to_string(e.code)} + " from " + e.peer + ": " + e.what +
                   detail::and_more(e.more);
        }
        std::string operator()(const Malformed& e) const {
            return "malformed " + std::string{to_string(e.code)} + " from " + e.peer + ": " + e.what +
                   detail::and_more(e.more);
        }
        std::string operator()(const ConnectionsRefused& e) const {
            return "connections are turned away (" + std::to_string(e.count) + " so far): " + e.why;
        }
        std::string operator()(const ConnectionsAccepted& e) const {
            return "connections are taken again; " + std::to_string(e.refused) + " were turned away";
        }
    };
    return printable(std::visit(Printer{}, event));
}

}  // namespace understudy
