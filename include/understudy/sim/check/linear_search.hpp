// The linearizability search: it looks for one order of the operations that explains every answer. The algorithm is
// that of Wing and Gong ("Testing and verifying concurrent objects", 1993) with the improvements of Lowe ("Testing for
// linearizability", 2017), and with further pruning of open operations.
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

/// The result of a check.
enum class Verdict {
    linearizable,
    violated,   ///< No order explains the answers.
    undecided,  ///< A bound was reached first.
};

/// When the search of one key gives up. It needs bounds because the problem is NP-complete.
struct SearchBounds {
    std::uint64_t max_steps = 20'000'000;  ///< Steps of the model.
    std::size_t max_states = 1'000'000;    ///< States stored at a time: bounds the memory.
};

/// The cost of a search.
struct SearchCounts {
    std::uint64_t steps = 0;
    std::uint64_t states = 0;
};

/// Decides one history of one key by a depth-first search. The next operation must have been called before the first
/// return that is still to come. The search takes such an operation if the model gives the same answer, and backtracks
/// when no operation fits. It stores each place it reached (the set of operations done, and the state) and does not
/// search from an equal place again. An answered operation that fits and changes nothing is taken at once and has no
/// alternatives: every order that has it later stays valid if it comes now. There is no recursion, so long histories
/// need no deep stack.
///
/// An open operation may take effect at any time after its call, or never. Without further rules, each one would double
/// the work. Therefore:
///  - open operations are tried last, and at first only in short runs, because few are needed at a time;
///  - an open operation is skipped if it does not change the state, or if the next open one leads to the same state
///    without it;
///  - a run of open operations is skipped if the answered operation after it fits without the run and leads to the same
///    state;
///  - an open operation that resets is skipped if no answered operation that could come next has observed the state
///    that it leaves.
///
/// None of these rules loses a solution: if an open operation makes no difference, not taking it keeps more choices.
template <Model M>
class LinearSearch {
public:
    using Operation = OperationOf<M>;

    /// `operations` are of one key and must outlive the search, as the model must. Open operations that change nothing
    /// are dropped.
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
        // If a call and a return have the same number, the call counts as first: this allows more orders.
        std::stable_sort(events.begin(), events.end(), [](const Node& a, const Node& b) {
            return a.number != b.number ? a.number < b.number : a.is_call && !b.is_call;
        });
        std::sort(open_.begin(), open_.end(), [](auto* a, auto* b) { return a->called < b->called; });
        nodes_.resize(1);
        nodes_.insert(nodes_.end(), events.begin(), events.end());
        pair_up();
        study();
    }

    /// Searches with runs of at most 1, then 3, then any number of open operations, each pass with a share of
    /// `max_steps`. `violated` is final only if no run was cut short, because a longer run might have led to a
    /// solution.
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

    /// A call or a return of an answered operation, as a node of a doubly linked list. Taking an operation removes both
    /// nodes; backtracking inserts them again. Node 0 is the head of the list.
    struct Node {
        bool is_call = false;
        std::uint64_t number = 0;
        const Operation* operation = nullptr;
        bool idle = false;                     // with this answer, it does not change any state
        bool blind = false;                    // its answer fits any state
        std::optional<std::uint64_t> found{};  // the hash of the only state that its answer fits
        Index partner = 0;                     // of a call: its return
        Index before = 0, after = 0;
    };
    enum class Kind { idle, answered, open };
    /// The position in the list of candidates for the next operation: all idle ones first, then the other answered
    /// ones, then the open ones.
    struct Choice {
        Kind kind = Kind::idle;
        Index node = 0;        // the candidate, if it is answered
        std::size_t open = 0;  // the candidate, if it is open
    };
    /// One operation that was taken, and what is needed to undo it.
    struct Frame {
        Choice taken;
        std::size_t run = 0;
        State before;
    };
    /// A place of the search: which operations are done, and the state that they lead to.
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

    /// Stores what the model knows about each operation independently of a state, so that it is computed once.
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

    /// Starts a pass: all operations are in the list, none is taken.
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

    /// One pass of the search. It ends when all answered operations are taken; open ones need not be.
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

    /// Takes the first candidate from `choice` on that fits. Returns false if none does: then the search backtracks.
    /// When it reaches the open operations, `choice.node` is the first return of the list.
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

    /// Which states an open operation must leave to be useful as the next one: all, or those with one of these hashes.
    struct Wanted {
        bool all = false;
        std::vector<std::uint64_t> hashes{};
        bool operator()(const std::optional<std::uint64_t>& left) const {
            return all || !left || std::find(hashes.begin(), hashes.end(), *left) != hashes.end();
        }
    };
    Wanted wanted_states(std::uint64_t first_return) const {
        // An open operation that does not reset may need any state before it, so no state can be excluded.
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
            // The same state is reached without the run of open operations: skip this alternative.
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
        // It overwrites whatever the open operations before it did: they would have no effect.
        if (run_ > 0 && leaves_[choice.open]) return false;
        if (run_ == longest_run_) {
            cut_short_ = true;
            return false;
        }
        auto next = state_;
        if (!step(next, operation) || next == state_) return false;
        if (run_ > 0) {
            // The same state is reached without the previous open operation.
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

    /// Undoes the last operation. Returns the next candidate after it.
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

    /// Stores the current place. Returns false if it was stored before.
    ///
    /// The set of operations done is represented by those not done, which is shorter: each answered operation that was
    /// called before the first remaining return is done, unless its call is in the list before that return.
    bool remember(const State& state, std::size_t run) {
        Place place{{}, state, model_.hash(state)};
        auto node = nodes_[0].after;
        for (; nodes_[node].is_call; node = nodes_[node].after) place.done.push_back(node);
        place.done.push_back(node);
        place.done.insert(place.done.end(), used_.begin(), used_.end());
        if (longest_run_ <= open_.size())
            place.done.push_back(static_cast<Index>(run));  // after a longer run, fewer operations may follow
        for (const auto word : place.done) place.hash = mix(place.hash, word);
        const bool is_new = places_.insert(std::move(place)).second;
        counts_.states += is_new;
        return is_new;
    }

    /// Removes a call and its return from the list.
    void unlink(Index call) {
        for (const auto node : {call, nodes_[call].partner}) {
            nodes_[nodes_[node].before].after = nodes_[node].after;
            nodes_[nodes_[node].after].before = nodes_[node].before;
        }
    }
    /// Inserts them again. Must undo the calls of `unlink` in reverse order.
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
    std::vector<std::optional<std::uint64_t>> leaves_;  // per open operation that resets: hash of its state

    // The state of one pass.
    State state_;
    std::vector<Frame> frames_;
    std::unordered_set<Place, HashOf> places_;
    std::vector<Index> used_;  // one bit per open operation
    std::size_t run_ = 0;      // how many open operations were taken since the last answered one
    std::size_t longest_run_ = 0;
    bool cut_short_ = false;
};

}  // namespace understudy::sim
