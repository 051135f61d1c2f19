// A history that violates linearizability is reduced to a small one without false statements, and printed so that a
// person sees the violation.
#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include <examples/ledger.hpp>
#include <tests/support/object_histories.hpp>
#include <tests/support/setting.hpp>
#include <understudy/kv_store.hpp>
#include <understudy/sim/check/counterexample.hpp>
#include <understudy/sim/check/kv_model.hpp>
#include <understudy/sim/check/store_model.hpp>

TEST_SUITE("counterexample") {
    namespace {

    using namespace understudy;
    using sim::KvModel;
    using sim::Verdict;
    using test::KvOperations;
    using test::some_order_explains;

    std::uint64_t first_seed() { return test::setting("UNDERSTUDY_SEED", 1); }

    KvModel::Input put(std::string value) { return kv::Command{kv::Put{"k", std::move(value)}}; }
    KvModel::Input get() { return kv::Query{kv::Get{"k"}}; }

    std::size_t count_answered(const KvOperations& operations) {
        std::size_t count = 0;
        for (const auto& operation : operations) count += !operation.open();
        return count;
    }

    /// A long correct history of puts and gets, except that one read sees a value that was overwritten before the read
    /// began.
    KvOperations with_a_stale_read(sim::Random& random, test::HistoryShape shape) {
        shape.only_registers = true;
        auto operations = test::AtomicClients{random, shape}.run();
        std::vector<std::size_t> puts;  // answered, each called after the previous one had returned
        for (std::size_t i = 0; i < operations.size(); ++i) {
            auto& operation = operations[i];
            if (operation.open()) continue;
            if (operation.input.index() == 0) {
                if (puts.empty() || operations[puts.back()].returned < operation.called) puts.push_back(i);
            } else if (i > operations.size() / 2 && operations[puts.back()].returned < operation.called) {
                const auto& overwritten = operations[puts[puts.size() - 2]].input;
                operation.output = std::get<kv::Put>(std::get<0>(overwritten)).value;
                break;
            }
        }
        return operations;
    }

    }  // namespace

    TEST_CASE("a stale read is printed as the three calls that show it") {
        sim::HistoryOf<KvModel> history;
        auto at = [](int milliseconds) { return Time{std::chrono::milliseconds{milliseconds}}; };
        history.answer(history.begin("ann", put("0"), at(5)), std::monostate{}, at(8));
        history.answer(history.begin("ann", put("1"), at(10)), std::monostate{}, at(12));
        const auto idle = history.begin("cid", get(), at(12));
        const auto second = history.begin("bob", put("2"), at(13));
        history.leave_open(history.begin("dan", put("3"), at(14)));
        history.answer(idle, "1", at(15));
        history.answer(second, std::monostate{}, at(16));
        const auto stale = history.begin("cid", get(), at(20));
        history.leave_open(history.begin("dan", put("4"), at(21)));
        history.answer(stale, "1", at(22));
        history.answer(history.begin("ann", get(), at(30)), "2", at(31));
        CHECK(sim::violation(KvModel{}, history) ==
              "not linearizable, by 3 of 8 operations:\n"
              "  from      to  client  operation    answer\n"
              " 0.000   2.000  ann     put \"k\" \"1\"  nothing  [-------]\n"
              " 3.000   6.000  bob     put \"k\" \"2\"  nothing                  [-------]\n"
              "10.000  12.000  cid     get \"k\"      \"1\"                                      [-------]\n");
    }

    TEST_CASE("an open write is shown where it explains what was seen") {
        sim::HistoryOf<KvModel> history;
        auto at = [](int milliseconds) { return Time{std::chrono::milliseconds{milliseconds}}; };
        history.answer(history.begin("a", put("1"), at(1)), std::monostate{}, at(2));
        history.leave_open(history.begin("b", put("2"), at(3)));
        history.leave_open(history.begin("b", put("3"), at(4)));
        history.answer(history.begin("c", get(), at(5)), "2", at(6));
        history.answer(history.begin("c", get(), at(7)), "1", at(8));
        CHECK(sim::violation(KvModel{}, history) ==
              "not linearizable, by 4 of 5 operations:\n"
              " from     to  client  operation    answer\n"
              "0.000  1.000  a       put \"k\" \"1\"  nothing  [-----]\n"
              "2.000         b       put \"k\" \"2\"  (open)                [---------------------------------->\n"
              "4.000  5.000  c       get \"k\"      \"2\"                          [------]\n"
              "6.000  7.000  c       get \"k\"      \"1\"                                        [------]\n");
    }

    TEST_CASE("a good history has no violation to tell") {
        sim::HistoryOf<KvModel> history;
        history.answer(history.begin("a", put("1"), Time{}), std::monostate{}, Time{});
        CHECK(sim::violation(KvModel{}, history) == "");
    }

    TEST_CASE("a long history shrinks to what shows the fault") {
        for (std::uint64_t seed = first_seed(); seed < first_seed() + 3; ++seed) {
            CAPTURE(seed);
            sim::Random random{seed};
            auto judgement =
                sim::judge(KvModel{}, with_a_stale_read(random, {.clients = 5, .operations = 500, .abandoned = 0.005}));
            REQUIRE(judgement.verdict == Verdict::violated);
            const auto smallest = sim::Shrinker<KvModel>{KvModel{}}.shrink(judgement.culprit);
            CHECK(smallest.size() <= 6);
            CHECK_FALSE(some_order_explains(smallest));
        }
    }

    TEST_CASE("a long tail of appends shrinks by its beginning") {
        sim::HistoryOf<KvModel> history;
        auto call = [&](KvModel::Input input, kv::Reply reply) {
            const auto id = history.begin("a", std::move(input), Time{});
            history.answer(id, std::move(reply), Time{});
        };
        std::uint64_t length = 0;
        for (int i = 0; i < 200; ++i) {
            if (i % 40 == 39) {
                call(put("v"), std::monostate{});
                length = 1;
            } else {
                call(kv::Command{kv::Append{"k", "w"}}, ++length);
            }
        }
        call(get(), "w");
        const auto told = sim::violation(KvModel{}, history, {.max_steps = 400'000});
        CHECK(told.find("not linearizable, by 2 of 201 operations") == 0);
    }

    TEST_CASE("what is left is bad and none of its answers can be spared") {
        int shrunk = 0, smaller = 0;
        for (std::uint64_t seed = first_seed(); seed < first_seed() + 300; ++seed) {
            CAPTURE(seed);
            sim::Random random{seed};
            auto operations = test::AtomicClients{random, {.clients = 4, .operations = 10}}.run();
            test::falsify(operations, random);
            if (sim::judge(KvModel{}, operations).verdict != Verdict::violated) continue;
            sim::Shrinker<KvModel> shrinker{KvModel{}};
            const auto smallest = shrinker.shrink(operations);
            ++shrunk;
            smaller += smallest.size() < operations.size();
            CHECK_FALSE(some_order_explains(smallest));
            for (std::size_t i = 0; i < count_answered(smallest); ++i)
                CHECK(some_order_explains(shrinker.forgetting(smallest, i, 1)));
        }
        CHECK(shrunk > 100);
        CHECK(smaller > 75);
    }

    TEST_CASE("no step of shrinking makes a good history bad") {
        for (std::uint64_t seed = first_seed(); seed < first_seed() + 150; ++seed) {
            CAPTURE(seed);
            sim::Random random{seed};
            const auto operations =
                test::AtomicClients{random, {.clients = 4, .operations = 7, .abandoned = 0.1}}.run();
            const KvModel model;
            const sim::Shrinker<KvModel> shrinker{model};
            for (const auto& operation : operations) {
                if (operation.open()) continue;
                CHECK(some_order_explains(shrinker.until(operations, operation.returned)));
                if (model.resets(operation.input, &*operation.output))
                    CHECK(some_order_explains(shrinker.from(operations, operation)));
            }
            for (std::size_t count = 1; count <= 2; ++count)
                for (std::size_t i = 0; i < count_answered(operations); ++i)
                    CHECK(some_order_explains(shrinker.forgetting(operations, i, count)));
        }
    }

    TEST_CASE("a store is its own model") {
        SUBCASE("the one in the box agrees with the model of its keys") {
            int violated = 0;
            for (std::uint64_t seed = first_seed(); seed < first_seed() + 200; ++seed) {
                CAPTURE(seed);
                sim::Random random{seed};
                auto operations = test::AtomicClients{random, {.keys = 2, .abandoned = 0.1}}.run();
                test::falsify(operations, random);
                const auto verdict = sim::judge(sim::StoreModel<KvStore>{}, operations).verdict;
                CHECK(verdict == sim::judge(KvModel{}, operations).verdict);
                violated += verdict == Verdict::violated;
            }
            CHECK(violated > 50);
        }
        SUBCASE("a ledger's transfers are seen once and whole") {
            using Books = sim::StoreModel<ledger::Ledger>;
            using ledger::Op;
            using ledger::Reply;
            sim::HistoryOf<Books> history;
            auto call = [&](Books::Input input, Reply reply) {
                const auto id = history.begin("a", std::move(input), Time{});
                history.answer(id, std::move(reply), Time{});
            };
            call(Books::command({Op::open, "ada", {}, 0}), {"ok", 0});
            call(Books::command({Op::open, "bob", {}, 0}), {"ok", 0});
            call(Books::command({Op::deposit, "ada", {}, 10}), {"ok", 10});
            history.leave_open(history.begin("b", Books::command({Op::transfer, "ada", "bob", 4}), Time{}));
            call(Books::query({ledger::Ask::balance, "bob"}), {"ok", 4});
            CHECK(sim::violation(Books{}, history) == "");
            call(Books::query({ledger::Ask::balance, "ada"}), {"ok", 10});
            const auto told = sim::violation(Books{}, history);
            CHECK(told.find("not linearizable") == 0);
            CHECK(told.find(R"({"account":"ada","amount":4,"from")") == told.npos);
            CHECK(told.find(R"({"amount":4,"from":"ada","op":"transfer","to":"bob"})") != told.npos);
        }
    }
}
