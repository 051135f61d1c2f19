// What the clients of one group say that they saw, and whether it fits what the group has committed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <understudy/sim/check/chronicle.hpp>
#include <understudy/sim/check/counterexample.hpp>
#include <understudy/sim/check/history.hpp>
#include <understudy/sim/check/linearizability.hpp>
#include <understudy/sim/check/log_witness.hpp>
#include <understudy/sim/disk/snapshot_bytes.hpp>
#include <understudy/sim/soak/workload.hpp>
#include <understudy/wire/store_text.hpp>
#include <understudy/wire/typed_store.hpp>

namespace understudy::sim {

/// A dump that a client has read to its end.
struct Dumped {
    std::string bytes;
    Index at = 0;             ///< It says that this is the last entry in it.
    Index newest = 0;         ///< The newest entry that anybody had been answered with when it was begun.
    std::uint64_t ended = 0;  ///< How many events there were in the history then.
};

/// It outlives the clients.
template <Workload W>
struct Testimony {
    HistoryOf<typename W::Model> history{};
    std::vector<Dumped> dumps{};
    Index newest = 0;                       ///< The newest entry that anybody was answered with.
    std::optional<std::uint64_t> forced{};  ///< How many events there were when an operator had a view forced.

    /// An operator has a view forced: what was seen so far may be gone.
    void force() {
        forced = history.events();
        newest = 0;
    }

    /// Leaves out what was seen before a view was forced, of entries after the last that was `kept`. A command that was
    /// answered there is open again: a copy that an earlier primary had logged may be in what is left.
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

/// What came of looking at a testimony.
struct Finding {
    std::string wrong{};     ///< In a sentence; empty: nothing is.
    std::string evidence{};  ///< The smallest bad history, if that is it.
    bool undecided = false;  ///< It was too hard to judge.
};

/// Whether the clients' calls and the commands that took effect are of one piece, and linearizable.
template <Workload W>
Finding judge_calls(const W& workload, const Testimony<W>& testimony, const std::vector<Chronicle::Change>& changes,
                    Index kept, SearchBounds bounds) {
    auto operations = testimony.history.operations();
    testimony.drop_lost(operations, kept);
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

/// Whether each dump of the store, and the store at the end, if its `bytes` are given, is what the log makes of what
/// the group began with.
template <Workload W>
std::string judge_stores(const W& workload, const Testimony<W>& testimony,
                         const std::vector<Chronicle::Change>& changes, Index kept,
                         const std::optional<std::string>& bytes = {}) {
    auto dumps = testimony.dumps;
    testimony.drop_lost(dumps, kept);
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
