// Tests of the explorer itself: on puzzles with known numbers of states, on a protocol with a seeded error, and at its
// bounds.
#include <doctest/doctest.h>

#include <array>

#include <understudy/sim/check/explore.hpp>

using namespace understudy::sim;

TEST_SUITE("explore/explore") {
    namespace {

    /// The sliding puzzle of 3 x 3, starting from its solved state.
    struct Sliding {
        using State = std::array<std::uint8_t, 9>;

        State wanted{};  // counts as a violation, so that the path to it is shown
        bool poor_digest = false;

        std::vector<Successor<State>> successors(const State& state) const {
            std::vector<Successor<State>> next;
            int hole = 0;
            while (state[static_cast<std::size_t>(hole)] != 0) ++hole;
            auto slide = [&](bool possible, int from) {
                if (!possible) return;
                auto& [label, after] = next.emplace_back();
                after = state;
                std::swap(after[static_cast<std::size_t>(hole)], after[static_cast<std::size_t>(from)]);
                label = "slide " + std::to_string(state[static_cast<std::size_t>(from)]);
            };
            slide(hole >= 3, hole - 3);
            slide(hole < 6, hole + 3);
            slide(hole % 3 > 0, hole - 1);
            slide(hole % 3 < 2, hole + 1);
            return next;
        }
        std::optional<std::string> violated(const State& state) const {
            return state == wanted ? std::optional<std::string>{"found"} : std::nullopt;
        }
        std::uint64_t digest(const State& state) const {
            std::uint64_t hash = 0;
            for (auto tile : state) hash = mix(hash, tile);
            return poor_digest ? hash % 64 : hash;
        }
        static State solved() { return {0, 1, 2, 3, 4, 5, 6, 7, 8}; }
    };

    /// Jugs of 5 and 3 litres; the goal is to measure four litres.
    struct Jugs {
        using State = std::pair<int, int>;

        int forbidden = 4;

        std::vector<Successor<State>> successors(const State& state) const {
            auto [five, three] = state;
            auto to_three = std::min(five, 3 - three), to_five = std::min(three, 5 - five);
            return {{"fill 5", {5, three}},
                    {"fill 3", {five, 3}},
                    {"empty 5", {0, three}},
                    {"empty 3", {five, 0}},
                    {"pour 5 into 3", {five - to_three, three + to_three}},
                    {"pour 3 into 5", {five + to_five, three - to_five}}};
        }
        std::optional<std::string> violated(const State& state) const {
            if (state.first != forbidden) return std::nullopt;
            return std::to_string(forbidden) + " litres";
        }
        std::uint64_t digest(const State& state) const {
            return mix(static_cast<std::uint64_t>(state.first), static_cast<std::uint64_t>(state.second));
        }
    };

    /// Two processes that take a lock: each announces that it wants it, checks that the other does not, and enters. The
    /// faulty variant checks first.
    struct Lock {
        struct Process {
            int at = 0;  // 0: idle, 1 and 2: between the steps, 3: inside
            bool wants = false;
            friend bool operator==(const Process&, const Process&) = default;
        };
        using State = std::array<Process, 2>;

        bool looks_first = false;

        std::vector<Successor<State>> successors(const State& state) const {
            std::vector<Successor<State>> next;
            for (std::size_t me = 0; me < 2; ++me) {
                auto after = state;
                auto& mine = after[me];
                const char* did = nullptr;
                bool say = mine.at == (looks_first ? 1 : 0);
                if (mine.at == 3)
                    did = " leaves", mine = {};
                else if (mine.at == 2)
                    did = " enters", mine.at = 3;
                else if (say)
                    did = " says that it wants", mine.wants = true, ++mine.at;
                else if (!state[1 - me].wants)
                    did = " sees that the other does not want", ++mine.at;
                if (did) next.push_back({(me == 0 ? "A" : "B") + std::string{did}, after});
            }
            return next;
        }
        std::optional<std::string> violated(const State& state) const {
            bool both = state[0].at == 3 && state[1].at == 3;
            return both ? std::optional<std::string>{"both are inside"} : std::nullopt;
        }
        std::uint64_t digest(const State& state) const {
            std::uint64_t hash = 0;
            for (const auto& process : state)
                hash = mix(hash, static_cast<std::uint64_t>(process.at * 2 + process.wants));
            return hash;
        }
    };

    }  // namespace

    TEST_CASE("the sliding puzzle has 181440 states and the farthest is 31 steps away") {
        Sliding puzzle;
        auto found = explore(puzzle, Sliding::solved());
        CHECK(found.end == ExploreEnd::exhausted);
        CHECK(found.states == 181'440);
        CHECK(found.transitions == 2 * 12 * 181'440 / 9);  // each of the twelve edges may be crossed both ways
        CHECK(found.depth == 31);
        CHECK(found.complete == 31);
        CHECK(found.ends == 0);
    }
    TEST_CASE("the shortest way is shown step by step") {
        Jugs jugs;
        auto found = explore(jugs, {0, 0});
        CHECK(found.end == ExploreEnd::violated);
        CHECK_FALSE(found.ok());
        CHECK(found.violation == "4 litres");
        std::vector<std::string> steps{"fill 5",        "pour 5 into 3", "empty 3",
                                       "pour 5 into 3", "fill 5",        "pour 5 into 3"};
        CHECK(found.trace == steps);
        CHECK(
            describe(found).ends_with("VIOLATED: 4 litres\n  1. fill 5\n  2. pour 5 into 3\n  3. empty 3\n"
                                      "  4. pour 5 into 3\n  5. fill 5\n  6. pour 5 into 3"));
    }
    TEST_CASE("all of a space without a violation is visited") {
        Jugs jugs{.forbidden = 6};
        auto found = explore(jugs, {0, 0});
        CHECK(found.end == ExploreEnd::exhausted);
        CHECK(found.states == 16);
        CHECK(found.transitions == 16 * 6);
        CHECK(describe(found).ends_with("exhausted"));
    }
    TEST_CASE("a seeded error in a lock is found with the shortest trace") {
        Lock right;
        auto fine = explore(right, {});
        CHECK(fine.end == ExploreEnd::exhausted);
        CHECK(fine.ends == 1);  // both want it and wait: this lock is safe but not live

        Lock wrong{.looks_first = true};
        auto found = explore(wrong, {});
        CHECK(found.violation == "both are inside");
        CHECK(found.trace.size() == 6);
        CHECK(found.trace[0] == "A sees that the other does not want");
        CHECK(found.trace[1] == "B sees that the other does not want");
    }
    TEST_CASE("a violation at the start needs no step") {
        Jugs jugs{.forbidden = 0};
        auto found = explore(jugs, {0, 0});
        CHECK(found.end == ExploreEnd::violated);
        CHECK(found.trace.empty());
        CHECK(found.states == 1);
    }
    TEST_CASE("equality decides and not the digest") {
        Sliding puzzle{.poor_digest = true};
        auto poor = explore(puzzle, Sliding::solved(), {.depth = 10});
        puzzle.poor_digest = false;
        auto good = explore(puzzle, Sliding::solved(), {.depth = 10});
        CHECK(poor.states == good.states);
        CHECK(poor.transitions == good.transitions);
        CHECK(good.states > 600);
    }
    TEST_CASE("each bound ends the search and says so") {
        Sliding puzzle;
        auto deep = explore(puzzle, Sliding::solved(), {.depth = 2});
        CHECK(deep.end == ExploreEnd::depth);
        CHECK(deep.depth == 2);
        CHECK(deep.complete == 2);
        CHECK(deep.states == 1 + 2 + 4);

        auto many = explore(puzzle, Sliding::solved(), {.states = 100});
        CHECK(many.end == ExploreEnd::states);
        CHECK(many.states == 100);
        CHECK(many.complete + 1 == many.depth);

        auto large = explore(puzzle, Sliding::solved(), {.bytes = 100'000});
        CHECK(large.end == ExploreEnd::bytes);
        CHECK(large.states > 100);
        CHECK(large.states < 100'000 / sizeof(Sliding::State));

        CHECK(explore(puzzle, Sliding::solved(), {.depth = 0}).states == 1);
    }
    TEST_CASE("a pool keeps equal values once and different ones apart") {
        Pool<std::string> pool;
        for (int i = 0; i < 1000; ++i) {
            auto placed = pool.insert(std::to_string(i % 300), static_cast<std::uint64_t>(i % 300 % 7));
            CHECK(placed.fresh == (i < 300));
            CHECK(pool[placed.id] == std::to_string(i % 300));
        }
        const auto& kept = pool[0];
        for (int i = 0; i < 1000; ++i) pool.insert("x" + std::to_string(i), 1);
        CHECK(&kept == &pool[0]);
        CHECK(kept == "0");
    }
}
