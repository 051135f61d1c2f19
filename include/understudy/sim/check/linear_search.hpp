// The search for one order of operations that explains everything the clients saw: Wing and Gong's ("Testing and
// verifying concurrent objects", 1993) as improved by Lowe ("Testing for linearizability", 2017).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <understudy/base/check.hpp>
#include <understudy/sim/check/model.hpp>
#include <understudy/sim/world/random.hpp>

namespace understudy::sim {

enum class Verdict {
    linearizable,
    violated,   ///< No order explains what was seen.
    undecided,  ///< A bound was reached first.
};

/// When to give up, for each key.
struct SearchBounds {
    std::uint64_t max_steps = 20'000'000;  ///< Operations that the model is asked to carry out.
    std::size_t max_states = 1'000'000;    ///< Remembered at a time; what bounds the memory.
};

/// What it took.
struct SearchCounts {
    std::uint64_t steps = 0;
    std::uint64_t states = 0;
};

/// Decides one history of one key. Operations are taken one by one, each from those that were called before any other
/// had returned, for as long as the model agrees; and are put back when nothing more fits. What was reached once, the
/// same operations done and the same state, is not tried again. An answered operation that changes nothing and fits is
/// taken at once and for good: whatever can come with it later can come after it now. Nothing recurses.
///
/// Open operations may be anywhere after their call, or nowhere, which would double the work with each of them. So:
///  - they are tried last, and at first only in short runs, since few are needed at a time;
///  - one that leaves the state as it is, is left out, and so is one that the next open one makes up for;
///  - a run of them is left out if the answered operation after it could have come without and leads to the same;
///  - one that resets is left out if what it leaves is not what any answered operation found that could come next.
/// None of these loses a solution: where an open operation makes no difference, leaving it out leaves more choices.
template <Model M>
class LinearSearch {
public:
    using Operation = OperationOf<M>;

    LinearSearch(const M& model, const std::vector<Operation>& operations, SearchBounds bounds)
        : model_{model}, bounds_{bounds}, state_{model.initial()} {
        std::vector<Node> events;
        for (const auto& operation : operations) {
            if (!operation.open()) {
                UNDERSTUDY_CHECK(operation.called < operation.returned);
                events.push_back({true, operation.called, &operation});
                events.push_back({false, operation.returned, &operation});
            } else if (!model.changes_nothing(operation.input, nullptr)) {
                open_.push_back(&operation);
            }
        }
        // A call that has the number of a return is taken to come first, which allows more.
        std::stable_sort(events.begin(), events.end(), [](const Node& a, const Node& b) {
            return a.number != b.number ? a.number < b.number : a.is_call && !b.is_call;
        });
        std::sort(open_.begin(), open_.end(), [](auto* a, auto* b) { return a->called < b->called; });
        nodes_.resize(1);
        nodes_.insert(nodes_.end(), events.begin(), events.end());
        pair_up();
        study();
    }

    Verdict run() {
        constexpr std::array<std::size_t, 3> run_lengths{1, 3, std::numeric_limits<std::size_t>::max()};
        for (std::size_t pass = 0; pass < run_lengths.size(); ++pass) {
            const auto steps = bounds_.max_steps / run_lengths.size() * (pass + 1);
            const auto verdict = search(run_lengths[pass], steps);
            if (verdict == Verdict::linearizable) return verdict;
            if (verdict == Verdict::violated && !cut_short_) return verdict;
        }
        return Verdict::undecided;
    }

    SearchCounts counts() const { return counts_; }

private:
    using State = typename M::State;
    using Index = std::uint32_t;

    /// An event of an answered operation, in a list from which both events are taken out and put back. 0 is its head.
    struct Node {
        bool is_call = false;
        std::uint64_t number = 0;
        const Operation* operation = nullptr;
        bool idle = false;                     // with its answer it changes nothing
        bool blind = false;                    // it fits any state
        std::optional<std::uint64_t> found{};  // the hash of the only state that it fits
        Index partner = 0;                     // of a call: its return
        Index before = 0, after = 0;
    };
    enum class Kind { idle, answered, open };
    /// Where to go on among the operations that could come next; one kind after the other.
    struct Choice {
        Kind kind = Kind::idle;
        Index node = 0;        // of those that are answered
        std::size_t open = 0;  // of the others
    };
    struct Frame {
        Choice taken;
        std::size_t run = 0;
        State before;
    };
    /// What has been done, and what came of it.
    struct Place {
        std::vector<Index> done;
        State state;
        std::uint64_t hash = 0;
        friend bool operator==(const Place& a, const Place& b) {
            return a.hash == b.hash && a.done == b.done && a.state == b.state;
        }
    };
    struct HashOf {
        std::size_t operator()(const Place& place) const { return static_cast<std::size_t>(place.hash); }
    };

    void pair_up() {
        std::unordered_map<const Operation*, Index> calls;
        for (Index i = 1; i < nodes_.size(); ++i) {
            if (nodes_[i].is_call)
                calls.emplace(nodes_[i].operation, i);
            else
                nodes_[calls.at(nodes_[i].operation)].partner = i;
        }
    }

    /// Asks the model what it knows of each operation without a state.
    void study() {
        for (auto& node : nodes_)
            if (node.is_call) node.idle = model_.changes_nothing(node.operation->input, node.operation->answer());
        leaves_.resize(open_.size());
        if constexpr (RevealingModel<M>) {
            for (auto& node : nodes_) {
                if (!node.is_call) continue;
                const auto& input = node.operation->input;
                const auto* output = node.operation->answer();
                node.blind = model_.resets(input, output);
                if (!output) continue;
                if (const auto state = model_.found(input, *output)) node.found = model_.hash(*state);
            }
            for (std::size_t i = 0; i < open_.size(); ++i) {
                auto state = model_.initial();
                if (model_.resets(open_[i]->input, nullptr) && step(state, *open_[i])) leaves_[i] = model_.hash(state);
            }
        }
    }

    void begin() {
        const auto count = static_cast<Index>(nodes_.size());
        for (Index i = 0; i < count; ++i) {
            nodes_[i].before = i == 0 ? count - 1 : i - 1;
            nodes_[i].after = i + 1 == count ? 0 : i + 1;
        }
        places_.clear();
        frames_.clear();
        used_.assign((open_.size() + 31) / 32, 0);
        state_ = model_.initial();
        run_ = 0;
        cut_short_ = false;
    }

    Verdict search(std::size_t longest_run, std::uint64_t max_steps) {
        begin();
        longest_run_ = longest_run;
        Choice choice{Kind::idle, nodes_[0].after};
        while (nodes_[0].after != 0) {
            if (counts_.steps >= max_steps || places_.size() >= bounds_.max_states) return Verdict::undecided;
            if (take_next(choice)) {
                choice = {Kind::idle, nodes_[0].after};
                continue;
            }
            do {
                if (frames_.empty()) return Verdict::violated;
                choice = put_back();
            } while (choice.kind == Kind::idle);
        }
        return Verdict::linearizable;
    }

    bool take_next(Choice& choice) {
        if (choice.kind == Kind::idle) {
            for (auto node = choice.node; nodes_[node].is_call; node = nodes_[node].after)
                if (nodes_[node].idle && take_idle(node)) return true;
            choice.kind = Kind::answered;
        }
        if (choice.kind == Kind::answered) {
            for (; nodes_[choice.node].is_call; choice.node = nodes_[choice.node].after)
                if (!nodes_[choice.node].idle && take_answered(choice)) return true;
            choice.kind = Kind::open;
        }
        const auto first_return = nodes_[choice.node].number;
        if (open_.empty() || open_.front()->called > first_return) return false;
        const auto wanted = wanted_states(first_return);
        for (; choice.open < open_.size() && open_[choice.open]->called < first_return; ++choice.open)
            if (!used(choice.open) && wanted(leaves_[choice.open]) && take_open(choice)) return true;
        return false;
    }

    /// Whether an open operation that leaves a state can be of use next.
    struct Wanted {
        bool all = false;
        std::vector<std::uint64_t> hashes{};
        bool operator()(const std::optional<std::uint64_t>& left) const {
            return all || !left || std::find(hashes.begin(), hashes.end(), *left) != hashes.end();
        }
    };
    Wanted wanted_states(std::uint64_t first_return) const {
        // Whatever does not reset may need any state before it.
        for (std::size_t i = 0; i < open_.size() && open_[i]->called < first_return; ++i)
            if (!leaves_[i] && !used(i)) return {true};
        Wanted wanted;
        for (auto node = nodes_[0].after; nodes_[node].is_call; node = nodes_[node].after) {
            if (nodes_[node].blind) continue;
            if (!nodes_[node].found) return {true};
            wanted.hashes.push_back(*nodes_[node].found);
        }
        return wanted;
    }

    bool step(State& state, const Operation& operation) {
        ++counts_.steps;
        return model_.step(state, operation.input, operation.answer());
    }

    bool take_idle(Index node) {
        auto next = state_;
        if (!step(next, *nodes_[node].operation)) return false;
        unlink(node);
        push({Kind::idle, node}, std::move(next), 0);
        return true;
    }

    bool take_answered(const Choice& choice) {
        const auto& operation = *nodes_[choice.node].operation;
        auto next = state_;
        if (!step(next, operation)) return false;
        if (run_ > 0) {
            auto without = frames_[frames_.size() - run_].before;
            if (step(without, operation) && without == next) return false;
        }
        unlink(choice.node);
        if (nodes_[0].after != 0 && !remember(next, 0)) {
            link(choice.node);
            return false;
        }
        push(choice, std::move(next), 0);
        return true;
    }

    bool take_open(const Choice& choice) {
        const auto& operation = *open_[choice.open];
        if (run_ > 0 && leaves_[choice.open]) return false;
        if (run_ == longest_run_) {
            cut_short_ = true;
            return false;
        }
        auto next = state_;
        if (!step(next, operation) || next == state_) return false;
        if (run_ > 0) {
            auto without = frames_.back().before;
            if (step(without, operation) && without == next) return false;
        }
        toggle(choice.open);
        if (!remember(next, run_ + 1)) {
            toggle(choice.open);
            return false;
        }
        push(choice, std::move(next), run_ + 1);
        return true;
    }

    void push(const Choice& taken, State&& next, std::size_t run) {
        frames_.push_back({taken, run_, std::exchange(state_, std::move(next))});
        run_ = run;
    }

    /// Undoes the last one; returns where to go on.
    Choice put_back() {
        auto& frame = frames_.back();
        auto choice = frame.taken;
        if (choice.kind == Kind::open) {
            toggle(choice.open++);
        } else {
            link(choice.node);
            choice.node = nodes_[choice.node].after;
        }
        state_ = std::move(frame.before);
        run_ = frame.run;
        frames_.pop_back();
        return choice;
    }

    /// Whether this is a new place. What has been done is told by what has not: all that is answered was called before
    /// the first return that is still to come, and is done unless it stands before that return in the list.
    bool remember(const State& state, std::size_t run) {
        Place place{{}, state, model_.hash(state)};
        auto node = nodes_[0].after;
        for (; nodes_[node].is_call; node = nodes_[node].after) place.done.push_back(node);
        place.done.push_back(node);
        place.done.insert(place.done.end(), used_.begin(), used_.end());
        if (longest_run_ <= open_.size())
            place.done.push_back(static_cast<Index>(run));  // less may follow a longer run
        for (const auto word : place.done) place.hash = mix(place.hash, word);
        const bool is_new = places_.insert(std::move(place)).second;
        counts_.states += is_new;
        return is_new;
    }

    /// Takes a call and its return out of the list.
    void unlink(Index call) {
        for (const auto node : {call, nodes_[call].partner}) {
            nodes_[nodes_[node].before].after = nodes_[node].after;
            nodes_[nodes_[node].after].before = nodes_[node].before;
        }
    }
    /// Undoes the last `unlink`.
    void link(Index call) {
        for (const auto node : {nodes_[call].partner, call}) {
            nodes_[nodes_[node].before].after = node;
            nodes_[nodes_[node].after].before = node;
        }
    }
    bool used(std::size_t open) const { return used_[open / 32] >> (open % 32) & 1u; }
    void toggle(std::size_t open) { used_[open / 32] ^= Index{1} << (open % 32); }

    const M& model_;
    SearchBounds bounds_;
    SearchCounts counts_;
    std::vector<Node> nodes_;
    std::vector<const Operation*> open_;
    std::vector<std::optional<std::uint64_t>> leaves_;  // of each open one that resets: the hash of the state after it

    // Of one pass.
    State state_;
    std::vector<Frame> frames_;
    std::unordered_set<Place, HashOf> places_;
    std::vector<Index> used_;  // of the open ones, a bit each
    std::size_t run_ = 0;      // open ones since the last answered one
    std::size_t longest_run_ = 0;
    bool cut_short_ = false;
};

}  // namespace understudy::sim
