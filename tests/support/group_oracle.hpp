// What must hold for every answer, replica and event of a GroupWorld, under any fault.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <variant>

#include <doctest/doctest.h>

#include <tests/support/hand_driver.hpp>
#include <tests/support/list_store.hpp>
#include <tests/support/promotable.hpp>
#include <understudy/client/state_machine.hpp>
#include <understudy/replica/state_machine.hpp>

namespace understudy::test {

using namespace protocol;
using namespace replica;
using namespace client;

inline void ensure(bool holds, const std::string& otherwise) {
    if (!holds) FAIL(otherwise);
}

/// Commands are unique and the store is a list of them, so an answer's place in the list determines its order: an
/// operation that begins when the list is known to have n bytes must see at least these.
class GroupOracle {
public:
    /// With `streams` the network repeats no request, so a refusal is certain: the command had no effect.
    explicit GroupOracle(bool streams) : streams_(streams) {}

    // ---- calls ------------------------------------------------------------------------------------------

    void begun(const Address& client, CallKey key, bool write, std::string text) {
        live_.emplace(std::pair{client, key}, Operation{write, std::move(text), floor_});
    }
    void cancelled(const Address& client, CallKey key) { live_.erase({client, key}); }
    void ended(const Address& client, Finished& how) {
        auto found = live_.extract({client, how.key});
        ensure(!found.empty(), "a call ends that was not asked");
        auto& operation = found.mapped();
        if (how.error) return failed(operation, how);
        ++answered_;
        if (how.dump) return;
        auto size = operation.write ? std::stoul(how.value) : how.value.size();
        if (operation.write) {
            ensure(size > operation.floor, "a write stands before one that was answered earlier");
            ensure(places_.emplace(size, operation.text).second, "two writes have one place");
        } else {
            ensure(size >= operation.floor, "a read misses what was answered before it began");
            if (size > known_.size()) std::swap(known_, how.value);
            ensure(known_.starts_with(how.value), "two reads contradict each other");
        }
        floor_ = std::max(floor_, size);
    }

    /// An operator forced a view: writes that were answered so far may be lost.
    void forced() {
        forced_ = true;
        floor_ = 0;
        known_.clear();
        places_.clear();
    }
    /// No more faults from now on: every call is answered. Exception: if a session expired, the outcome of a call that
    /// was sent twice stays unknown even now.
    void calm() { calm_ = true; }

    // ---- replicas ---------------------------------------------------------------------------------------

    /// After a turn that sends `sent`: all replicas that reach an index must have the same state there, whenever they
    /// reach it.
    void see(const ReplicaStateMachine<ListStore>& machine, const replica::Output& sent, Time now,
             std::size_t max_sessions) {
        const auto forgotten = not_counted_on(machine, sent, now);
        ensure(forgotten.empty(), "a primary does not count on " + forgotten + " though that may be promoted");
        const auto& state = machine.state();
        std::hash<std::string> hash;
        auto seen = std::tuple{state.applied, hash(state.store.all), hash(state.sessions.save())};
        auto [first, fresh] = states_.emplace(std::pair{machine.view().view.forced, state.applied.index}, seen);
        ensure(first->second == seen, "replicas differ at one index");
        // sessions taken over from the log come on top
        ensure(state.sessions.size() <= max_sessions + 20, "sessions without bound");
    }
    /// Checks the list at the end: nothing is in it twice, nothing answered is missing, and nothing is in it that was
    /// reported to have had no effect.
    void check(const std::string& list) const {
        std::set<std::string> seen;
        for (std::size_t at = 0; at < list.size();) {
            auto end = list.find(';', at);
            auto text = list.substr(at, end - at);
            ensure(seen.insert(text).second, "a command took effect twice: " + text);
            ensure(!refused_.contains(text), "a command took effect that was said to have none: " + text);
            at = end + 1;
        }
        ensure(list.starts_with(known_), "a read saw what is not there");
        for (const auto& [end, text] : places_)
            ensure(list.substr(0, end).ends_with(text + ";") && end <= list.size(),
                   "an answered write is lost: " + text);
    }
    void emitted(const Event& event) {
        snapshots_ += std::holds_alternative<SnapshotInstalled>(event);
        if (auto* cut = std::get_if<LogTruncated>(&event)) {
            ++cuts_;
            ensure(forced_ || !cut->committed, "committed entries were cut");
        }
        ensure(!is_never_right(event), describe(event));
    }

    // ---- how much was tried -----------------------------------------------------------------------------

    std::size_t answered() const { return answered_; }
    std::size_t snapshots() const { return snapshots_; }
    std::size_t cuts() const { return cuts_; }

private:
    struct Operation {
        bool write = false;
        std::string text;
        std::size_t floor = 0;
    };

    void failed(const Operation& operation, const Finished& how) {
        if (calm_) ensure(how.detail == "the session expired", "a healthy group does not answer: " + how.detail);
        bool sure = *how.error == error::deadline_passed || (streams_ && *how.error != error::outcome_unknown);
        if (operation.write && sure) refused_.insert(operation.text);
    }

    bool streams_;
    bool forced_ = false;
    bool calm_ = false;
    std::map<std::pair<Address, CallKey>, Operation> live_;
    std::size_t floor_ = 0;                      // the list has at least these bytes
    std::string known_;                          // the longest list that was read
    std::map<std::size_t, std::string> places_;  // of answered writes: where each one ends in the list
    std::set<std::string> refused_;              // reported to have had no effect
    std::map<std::pair<ViewNumber, Index>, std::tuple<Position, std::size_t, std::size_t>> states_;
    std::size_t answered_ = 0, snapshots_ = 0, cuts_ = 0;
};

}  // namespace understudy::test
