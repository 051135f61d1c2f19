// The client history: all calls and exported snapshots of the clients of one group, and the checks of both against the
// commit history. Together they show whether clients saw a correct store, not only whether replicas agree.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <understudy/sim/check/commit_history.hpp>
#include <understudy/sim/check/counterexample.hpp>
#include <understudy/sim/check/history.hpp>
#include <understudy/sim/check/linearizability.hpp>
#include <understudy/sim/check/log_oracle.hpp>
#include <understudy/sim/disk/snapshot_bytes.hpp>
#include <understudy/sim/soak/workload.hpp>
#include <understudy/wire/store_text.hpp>
#include <understudy/wire/typed_store.hpp>

namespace understudy::sim {

/// An exported snapshot that a client has read completely.
struct Dumped {
    std::string bytes;
    Index at = 0;             ///< The last entry in it, according to the server.
    Index newest = 0;         ///< The newest entry in any answer when the export began.
    std::uint64_t ended = 0;  ///< The number of events in the history when it ended.
};

/// The history of all clients of a group. It outlives the clients.
template <Workload W>
struct ClientHistory {
    HistoryOf<typename W::Model> history{};
    std::vector<Dumped> dumps{};
    Index newest = 0;                       ///< The newest entry in any answer so far.
    std::optional<std::uint64_t> forced{};  ///< The number of events when a view was forced.

    /// Call it before an operator forces a view. Entries that were answered so far may be lost then.
    void force() {
        forced = history.events();
        newest = 0;
    }

    /// After a forced view, removes what may be lost: the reads answered before the force that depend on entries after
    /// `kept`. Commands answered before the force with such entries become open again. They are not removed, because a
    /// copy of the command, logged by an earlier primary, may be in the remaining log.
    void drop_lost(std::vector<OperationOf<typename W::Model>>& operations, Index kept) const {
        if (!forced) return;
        std::erase_if(operations, [&](auto& operation) {
            if (operation.returned >= *forced || !operation.claim || operation.claim->change <= kept) return false;
            const bool read = operation.claim->reads;
            operation.reopen();
            return read;
        });
    }
    void drop_lost(std::vector<Dumped>& some, Index kept) const {
        if (!forced) return;
        std::erase_if(some, [&](const Dumped& dump) { return dump.ended <= *forced && dump.at > kept; });
    }
};

/// The result of the check of a client history.
struct Finding {
    std::string wrong{};     ///< One sentence; empty if nothing is wrong.
    std::string evidence{};  ///< The smallest wrong history, if it is not linearizable.
    bool undecided = false;  ///< The search reached a bound.
};

/// Checks that the clients' calls agree with the commands that took effect (`changes`), and that they are linearizable.
template <Workload W>
Finding judge_calls(const W& workload, const ClientHistory<W>& client_history,
                    const std::vector<CommitHistory::Change>& changes, Index kept, SearchBounds bounds) {
    auto operations = client_history.history.operations();
    client_history.drop_lost(operations, kept);
    const auto text = [](const typename W::Model::Input& input) {
        return input.index() == 0 ? wire::encode_command<typename W::Store>(std::get<0>(input)) : std::string{};
    };
    Finding finding{place_open(operations, changes, text)};
    if (!finding.wrong.empty()) return finding;
    const auto model = workload.model();
    auto judgement = sim::judge(model, operations, bounds);
    finding.undecided = judgement.verdict == Verdict::undecided;
    if (judgement.verdict != Verdict::violated) return finding;
    finding.wrong = "what its clients saw is not linearizable";
    if (judgement.as_claimed) finding.wrong += " in the order of the log";
    finding.evidence = timeline(model, smallest_bad(model, std::move(judgement), bounds));
    return finding;
}

/// Applies the commit history to the initial store, and compares the result with each exported snapshot at its index
/// and, if `bytes` is given, with the final store. Also checks that an export is not older than an answer that some
/// client had received before the export began. Returns what is wrong; empty if nothing is.
template <Workload W>
std::string judge_stores(const W& workload, const ClientHistory<W>& client_history,
                         const std::vector<CommitHistory::Change>& changes, Index kept,
                         const std::optional<std::string>& bytes = {}) {
    auto dumps = client_history.dumps;
    client_history.drop_lost(dumps, kept);
    std::ranges::stable_sort(dumps, {}, &Dumped::at);
    wire::TypedStore<typename W::Store> store{workload.initial()};
    auto next = changes.begin();
    const auto play = [&](Index until) {
        for (; next != changes.end() && next->index <= until; ++next) store.apply(next->command);
        return snapshot_bytes(store.store());
    };
    for (const auto& dump : dumps) {
        const auto place = "a dump that ends with entry " + std::to_string(dump.at);
        if (dump.at < dump.newest)
            return place + " was begun after entry " + std::to_string(dump.newest) + " was answered";
        if (play(dump.at) != dump.bytes) return place + " is not what the log makes of the store";
    }
    return !bytes || play(~Index{0}) == *bytes ? "" : "the store is not what the log makes of it";
}

}  // namespace understudy::sim
