// Tests of the checker: with histories whose verdict is known, with random histories against a checker that tries every
// order, and for its cost.
#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include <tests/support/object_histories.hpp>
#include <tests/support/setting.hpp>
#include <understudy/sim/check/counterexample.hpp>
#include <understudy/sim/check/explore.hpp>
#include <understudy/sim/check/kv_model.hpp>
#include <understudy/sim/check/linearizability.hpp>

TEST_SUITE("linearizability") {
    namespace {

    using namespace understudy;
    using sim::KvModel;
    using sim::Verdict;
    using test::KvOperations;

    KvModel::Input put(std::string value) { return kv::Command{kv::Put{"k", std::move(value)}}; }
    KvModel::Input append(std::string value) { return kv::Command{kv::Append{"k", std::move(value)}}; }
    KvModel::Input erase() { return kv::Command{kv::Erase{"k"}}; }
    KvModel::Input cas(std::string expect, std::string value) {
        return kv::Command{kv::Cas{"k", std::move(value), std::move(expect)}};
    }
    KvModel::Input get(std::string key = "k") { return kv::Query{kv::Get{std::move(key)}}; }
    const kv::Reply nothing = std::monostate{};
    kv::Reply value(std::string text) { return text; }
    kv::Reply length(std::uint64_t bytes) { return bytes; }
    kv::Reply won(std::string now) { return kv::CasResult{true, std::move(now)}; }

    /// A history with a millisecond between any two events.
    struct Scenario {
        sim::HistoryOf<KvModel> history;
        Time now{};

        Time tick() { return now += std::chrono::milliseconds{1}; }
        std::size_t begin(std::string client, KvModel::Input input) {
            return history.begin(std::move(client), std::move(input), tick());
        }
        void answer(std::size_t id, kv::Reply reply) { history.answer(id, std::move(reply), tick()); }
        /// A call that overlaps only calls that began before it and end later.
        Scenario& then(std::string client, KvModel::Input input, kv::Reply reply) {
            answer(begin(std::move(client), std::move(input)), std::move(reply));
            return *this;
        }
        Verdict verdict() const {
            const auto operations = history.operations();
            const auto found = sim::judge(KvModel{}, operations).verdict;
            CHECK((found == Verdict::linearizable) == test::some_order_explains(operations));
            return found;
        }
        bool good() const { return verdict() == Verdict::linearizable; }
        bool bad() const { return verdict() == Verdict::violated; }
    };

    std::uint64_t first_seed() { return test::setting("UNDERSTUDY_SEED", 1); }

    }  // namespace

    TEST_CASE("a file may include the explorer and the checker of histories") {
        CHECK(sim::Model<KvModel>);
        CHECK_FALSE(sim::StateSpace<KvModel>);
    }

    TEST_CASE("an empty history and one call are fine") {
        CHECK(Scenario{}.good());
        CHECK(Scenario{}.then("a", get(), nothing).good());
        CHECK(Scenario{}.then("a", put("1"), nothing).then("b", get(), value("1")).good());
    }

    TEST_CASE("a stale read is found across clients") {
        CHECK(Scenario{}.then("a", put("1"), nothing).then("a", put("2"), nothing).then("b", get(), value("1")).bad());
    }

    TEST_CASE("a lost write is found") {
        CHECK(Scenario{}.then("a", put("1"), nothing).then("b", get(), nothing).bad());
        CHECK(Scenario{}.then("a", append("1"), length(1)).then("b", append("2"), length(1)).bad());
        CHECK(Scenario{}.then("a", put("1"), nothing).then("b", erase(), false).bad());
    }

    TEST_CASE("a write that was applied twice is found") {
        CHECK(Scenario{}.then("a", append("1"), length(1)).then("b", get(), value("11")).bad());
        CHECK(Scenario{}.then("a", append("1"), length(2)).bad());
    }

    TEST_CASE("a value that nobody wrote is found") {
        CHECK(Scenario{}.then("a", put("1"), nothing).then("b", get(), value("3")).bad());
    }

    TEST_CASE("two cas of one value cannot both win") {
        Scenario scenario;
        scenario.then("a", put("0"), nothing);
        const auto first = scenario.begin("a", cas("0", "1")), second = scenario.begin("b", cas("0", "2"));
        SUBCASE("both did") {
            scenario.answer(first, won("1"));
            scenario.answer(second, won("2"));
            CHECK(scenario.bad());
        }
        SUBCASE("one did") {
            scenario.answer(first, kv::CasResult{false, "2"});
            scenario.answer(second, won("2"));
            CHECK(scenario.good());
        }
    }

    TEST_CASE("reads during one write may see it in turn but not back and forth") {
        Scenario scenario;
        scenario.then("a", put("1"), nothing);
        const auto write = scenario.begin("a", put("2"));
        scenario.then("b", get(), value("1")).then("b", get(), value("2"));
        SUBCASE("forth") {}
        SUBCASE("and back by the same client") { scenario.then("b", get(), value("1")); }
        SUBCASE("and back by another") { scenario.then("c", get(), value("1")); }
        const bool back = scenario.history.operations().size() > 4;
        scenario.answer(write, nothing);
        CHECK(scenario.verdict() == (back ? Verdict::violated : Verdict::linearizable));
    }

    TEST_CASE("an open write may have taken effect at once or later or never") {
        Scenario scenario;
        scenario.then("a", put("1"), nothing);
        scenario.history.leave_open(scenario.begin("a", put("2")));
        SUBCASE("at once") { CHECK(scenario.then("b", get(), value("2")).good()); }
        SUBCASE("never") { CHECK(scenario.then("b", get(), value("1")).then("b", get(), value("1")).good()); }
        SUBCASE("later") { CHECK(scenario.then("b", get(), value("1")).then("b", get(), value("2")).good()); }
        SUBCASE("much later") { CHECK(scenario.then("b", put("3"), nothing).then("b", get(), value("2")).good()); }
        SUBCASE("but not seen and then unseen") {
            CHECK(scenario.then("b", get(), value("2")).then("b", get(), value("1")).bad());
        }
        SUBCASE("and not twice") {
            scenario.then("b", get(), value("2")).then("b", put("3"), nothing);
            CHECK(scenario.then("b", get(), value("2")).bad());
        }
    }

    TEST_CASE("an open write is not seen before it was called") {
        Scenario scenario;
        scenario.then("b", get(), value("2"));
        scenario.begin("a", put("2"));  // it never ended, so it is open too
        CHECK(scenario.history.pending() == 1);
        CHECK(scenario.bad());
    }

    TEST_CASE("a call that had no effect must have had none") {
        Scenario scenario;
        scenario.history.no_effect(scenario.begin("a", put("1")));
        CHECK(Scenario{scenario}.then("b", get(), nothing).good());
        CHECK(Scenario{scenario}.then("b", get(), value("1")).bad());
    }

    TEST_CASE("several open appends explain one read") {
        Scenario scenario;
        for (const char* text : {"1", "2", "3", "4", "5"})
            scenario.history.leave_open(scenario.begin("a", append(text)));
        CHECK(Scenario{scenario}.then("b", get(), value("531")).then("b", append("9"), length(4)).good());
        CHECK(Scenario{scenario}.then("b", get(), value("51")).then("b", get(), value("512")).good());
        CHECK(Scenario{scenario}.then("b", get(), value("51")).then("b", get(), value("5121")).bad());
    }

    TEST_CASE("of two open calls that lead to the same the right one is spent") {
        Scenario one, other;
        one.history.leave_open(one.begin("a", append("1")));
        one.history.leave_open(one.begin("a", put("1")));
        other.history.leave_open(other.begin("a", put("1")));
        other.history.leave_open(other.begin("a", append("1")));
        for (auto* scenario : {&one, &other})
            CHECK(scenario->then("b", get(), value("1")).then("b", get(), value("11")).good());
        CHECK(one.then("b", get(), value("111")).bad());
    }

    TEST_CASE("events of one instant keep the order in which they were told") {
        sim::HistoryOf<KvModel> history;
        history.answer(history.begin("a", put("1"), Time{}), nothing, Time{});
        history.answer(history.begin("b", get(), Time{}), nothing, Time{});
        CHECK(sim::judge(KvModel{}, history.operations()).verdict == Verdict::violated);
    }

    TEST_CASE("each key is judged by itself") {
        Scenario scenario;
        for (const char* key : {"a", "b", "c"})
            scenario.then("a", kv::Command{kv::Put{key, key}}, nothing).then("b", get(key), value(key));
        auto judgement = sim::judge(KvModel{}, scenario.history.operations());
        CHECK(judgement.verdict == Verdict::linearizable);
        CHECK(judgement.keys == 3);
        scenario.then("b", get("b"), value("a"));
        judgement = sim::judge(KvModel{}, scenario.history.operations());
        CHECK(judgement.verdict == Verdict::violated);
        CHECK(judgement.culprit.size() == 3);
        for (const auto& operation : judgement.culprit) CHECK(KvModel{}.key(operation.input) == "b");
        scenario.then("b", kv::Query{kv::Keys{}}, kv::Page{});
        CHECK_THROWS_AS(sim::judge(KvModel{}, scenario.history.operations()), std::invalid_argument);
    }

    TEST_CASE("the model and the store agree on limits") {
        const KvModel model;
        KvStore store;
        const std::string large(kv::max_value, 'v'), too_large = large + "v", too_long(kv::max_key + 1, 'k');
        auto state = model.initial();
        for (const kv::Command& command :
             {kv::Command{kv::Append{"k", too_large}}, kv::Command{kv::Append{"k", large}},
              kv::Command{kv::Append{"k", "v"}}, kv::Command{kv::Put{"k", too_large}}, kv::Command{kv::Erase{too_long}},
              kv::Command{kv::Cas{"k", too_large, large}}}) {
            const auto reply = store.apply(command);
            CHECK(model.step(state, command, &reply));
        }
    }

    TEST_CASE("chance agrees with the checker that tries every order") {
        int violated = 0, open = 0;
        for (std::uint64_t seed = first_seed(); seed < first_seed() + 800; ++seed) {
            CAPTURE(seed);
            sim::Random random{seed};
            auto operations = test::AtomicClients{random, {.operations = 7, .abandoned = 0.1}}.run();
            CHECK(sim::judge(KvModel{}, operations).verdict == Verdict::linearizable);
            for (const auto& operation : operations) open += operation.open();
            test::falsify(operations, random);
            const bool good = test::some_order_explains(operations);
            violated += !good;
            CHECK(sim::judge(KvModel{}, operations).verdict == (good ? Verdict::linearizable : Verdict::violated));
        }
        CHECK(violated > 250);
        CHECK(open > 250);
    }

    TEST_CASE("a long history takes a bounded number of steps") {
        sim::Random random{first_seed()};
        test::HistoryShape shape{.clients = 10, .operations = 20'000, .abandoned = 0.002};
        SUBCASE("of everything") {}
        SUBCASE("of puts and gets") {
            shape = {.clients = 10, .operations = 3'000, .abandoned = 0.0005, .only_registers = true};
        }
        const auto operations = test::AtomicClients{random, shape}.run();
        const auto judgement = sim::judge(KvModel{}, operations);
        CHECK(judgement.verdict == Verdict::linearizable);
        CHECK(judgement.counts.steps < 50 * operations.size());
        CHECK(judgement.counts.states < 10 * operations.size());
    }

    TEST_CASE("a search that reaches a bound says so") {
        sim::Random random{first_seed()};
        const auto operations = test::AtomicClients{random, {.clients = 10, .operations = 500}}.run();
        auto judgement = sim::judge(KvModel{}, operations, {.max_steps = 100});
        CHECK(judgement.verdict == Verdict::undecided);
        CHECK(judgement.counts.steps >= 90);
        CHECK(judgement.counts.steps <= 200);
        judgement = sim::judge(KvModel{}, operations, {.max_states = 50});
        CHECK(judgement.verdict == Verdict::undecided);
        CHECK(judgement.counts.states <= 3 * 50);
        CHECK(sim::violation(KvModel{}, operations, {.max_steps = 100}).find("undecided after") == 0);
    }
}
