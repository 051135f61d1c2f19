// If an object reports the order in which it executed operations, the checker accepts that order only.
#include <doctest/doctest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <tests/support/object_histories.hpp>
#include <tests/support/setting.hpp>
#include <understudy/sim/check/counterexample.hpp>
#include <understudy/sim/check/kv_model.hpp>
#include <understudy/sim/check/linearizability.hpp>

TEST_SUITE("claimed order") {
    namespace {

    using namespace understudy;
    using sim::Claim;
    using sim::KvModel;
    using sim::Verdict;
    using test::KvOperations;

    KvModel::Input put(std::string value, std::string key = "k") {
        return kv::Command{kv::Put{std::move(key), std::move(value)}};
    }
    KvModel::Input append(std::string value) { return kv::Command{kv::Append{"k", std::move(value)}}; }
    KvModel::Input get() { return kv::Query{kv::Get{"k"}}; }
    const kv::Reply nothing = std::monostate{};
    kv::Reply value(std::string text) { return text; }

    struct Scenario {
        sim::HistoryOf<KvModel> history;

        std::size_t begin(KvModel::Input input) { return history.begin("a", std::move(input), Time{}); }
        void answer(std::size_t id, kv::Reply reply, std::optional<Claim> claim) {
            history.answer(id, std::move(reply), Time{}, claim);
        }
        Scenario& then(KvModel::Input input, kv::Reply reply, std::optional<Claim> claim) {
            answer(begin(std::move(input)), std::move(reply), claim);
            return *this;
        }
        sim::Judgement<KvModel> judged() const { return sim::judge(KvModel{}, history.operations()); }
        bool good() const { return judged().verdict == Verdict::linearizable; }
        bool contradicts_itself() const {
            const auto judgement = judged();
            return judgement.verdict == Verdict::violated && judgement.as_claimed && judgement.culprit.size() == 2;
        }
    };

    /// Two concurrent puts, then a get.
    Scenario two_puts(std::optional<Claim> first, std::optional<Claim> second, std::string read) {
        Scenario scenario;
        const auto one = scenario.begin(put("1")), two = scenario.begin(put("2"));
        scenario.answer(one, nothing, first);
        scenario.answer(two, nothing, second);
        return scenario.then(get(), value(std::move(read)), Claim{2, true});
    }

    }  // namespace

    TEST_CASE("an order that explains every answer is good") {
        CHECK(two_puts(Claim{1}, Claim{2}, "2").good());
        CHECK(two_puts(Claim{2}, Claim{1}, "1").good());
    }

    TEST_CASE("another order than the one claimed is no excuse") {
        const auto scenario = two_puts(Claim{2}, Claim{1}, "2");
        const auto judgement = scenario.judged();
        CHECK(judgement.verdict == Verdict::violated);
        CHECK(judgement.as_claimed);
        const auto told = sim::violation(KvModel{}, scenario.history);
        CHECK_MESSAGE(told.find("not linearizable in the order that the object claims, by 3 of 3") == 0, told);
        CHECK_MESSAGE(told.find("\"2\" @2+") != std::string::npos, told);
    }

    TEST_CASE("every order is allowed if one answer comes without a claim") {
        CHECK(two_puts(Claim{2}, {}, "2").good());
        CHECK_FALSE(two_puts(Claim{2}, {}, "2").judged().as_claimed);
    }

    TEST_CASE("what had returned before a call stands before it with any key") {
        Scenario scenario;
        scenario.then(put("1"), nothing, Claim{2}).then(put("2", "other"), nothing, Claim{1});
        CHECK(scenario.contradicts_itself());
        CHECK(sim::violation(KvModel{}, scenario.history).find("claims, by 2 of 2 operations") != std::string::npos);
    }

    TEST_CASE("a read stands behind all that had returned before it") {
        Scenario scenario;
        scenario.then(put("1"), nothing, Claim{1}).then(put("1"), nothing, Claim{2});
        SUBCASE("or is stale, though its answer gives nothing away") {
            CHECK(scenario.then(get(), value("1"), Claim{1, true}).contradicts_itself());
        }
        SUBCASE("and may share its place with others") {
            CHECK(scenario.then(get(), value("1"), Claim{2, true}).then(get(), value("1"), Claim{2, true}).good());
        }
    }

    TEST_CASE("no two changes have one number") {
        Scenario scenario;
        const auto one = scenario.begin(put("1")), two = scenario.begin(put("2"));
        scenario.answer(one, nothing, Claim{1});
        scenario.answer(two, nothing, Claim{1});
        CHECK(scenario.contradicts_itself());
    }

    TEST_CASE("an open operation may stand anywhere after what had returned before its call") {
        Scenario scenario;
        SUBCASE("between two answers") {
            scenario.begin(put("2"));
            scenario.then(put("1"), nothing, Claim{1}).then(get(), value("2"), Claim{2, true});
            CHECK(scenario.good());
        }
        SUBCASE("nowhere") {
            scenario.begin(put("2"));
            CHECK(scenario.then(put("1"), nothing, Claim{1}).then(get(), value("1"), Claim{1, true}).good());
        }
        SUBCASE("not before it was called") {
            scenario.then(get(), value("2"), Claim{1, true}).begin(put("2"));
            const auto judgement = scenario.judged();
            CHECK(judgement.verdict == Verdict::violated);
            CHECK(judgement.as_claimed);
        }
        SUBCASE("before an answer that had not returned by its call") {
            const auto read = scenario.begin(get());
            scenario.begin(append("2"));
            scenario.answer(read, value("2"), Claim{1, true});
            CHECK(scenario.good());
        }
        SUBCASE("not before an answer that had, though it is claimed to stand late") {
            const auto late = scenario.begin(put("1"));
            const auto read = scenario.begin(get());
            scenario.answer(late, nothing, Claim{5});
            scenario.begin(append("2"));
            scenario.answer(read, value("2"), Claim{4, true});
            CHECK(scenario.judged().verdict == Verdict::violated);
        }
    }

    TEST_CASE("chance agrees with the checker that tries every order that fits") {
        const auto first = test::setting("UNDERSTUDY_SEED", 1);
        int violated = 0, contradicted = 0, open = 0;
        for (auto seed = first; seed < first + 800; ++seed) {
            CAPTURE(seed);
            sim::Random random{seed};
            auto operations = test::AtomicClients{random, {.operations = 7, .abandoned = 0.1, .claims = true}}.run();
            CHECK(sim::judge(KvModel{}, operations).verdict == Verdict::linearizable);
            std::vector<std::size_t> answered;  // and of one kind: a change cannot claim to be a read
            const auto kind = random.below(2);
            for (std::size_t i = 0; i < operations.size(); ++i) {
                open += operations[i].open();
                if (!operations[i].open() && operations[i].input.index() == kind) answered.push_back(i);
            }
            if (answered.empty()) continue;
            if (random.chance(0.5))
                test::falsify(operations, random);
            else
                std::swap(operations[random.pick(answered)].claim, operations[random.pick(answered)].claim);
            const auto judgement = sim::judge(KvModel{}, operations);
            const bool good = test::some_order_explains(operations);
            CHECK(judgement.verdict == (good ? Verdict::linearizable : Verdict::violated));
            violated += !good;
            contradicted += !good && judgement.counts.steps == 0;
        }
        CHECK(violated > 250);
        CHECK(contradicted > 50);
        CHECK(open > 250);
    }

    TEST_CASE("it takes little more than one step for each operation") {
        sim::Random random{test::setting("UNDERSTUDY_SEED", 1)};
        const test::HistoryShape shape{.clients = 30, .operations = 20'000, .abandoned = 0.01, .claims = true};
        const auto operations = test::AtomicClients{random, shape}.run();
        const auto judgement = sim::judge(KvModel{}, operations);
        CHECK(judgement.verdict == Verdict::linearizable);
        CHECK(judgement.counts.steps < 2 * operations.size());
    }
}
