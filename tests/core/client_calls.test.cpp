// The table of a client's calls alone: against a simple model, and what it keeps in memory.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <iterator>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <understudy/client/calls.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::client;

TEST_SUITE("client_calls") {
    namespace {

    Time at(std::uint64_t seconds) { return Time{} + std::chrono::seconds{seconds}; }
    CallRequest command(std::string text = "1") { return {.method = Method::pb_execute, .text = std::move(text)}; }

    // The expected state of each call, by key, and what must follow from it.
    struct Model {
        struct Call {
            CallKind kind;
            Time deadline, timer;
            std::deque<std::uint64_t> attempts{};
            std::uint64_t sent = 0, possible = 0;
            bool in_flight = false;
        };
        std::map<CallKey, Call> calls;

        std::optional<CallKey> first_waiting(CallKind kind) const {
            for (const auto& [key, call] : calls)
                if (!call.in_flight && call.kind == kind) return key;
            return std::nullopt;
        }
        std::pair<Time, CallKey> first_timer() const {
            std::pair<Time, CallKey> first{never, 0};
            for (const auto& [key, call] : calls)
                if (call.timer < first.first) first = {call.timer, key};
            return first;
        }
        std::optional<CallKey> by_attempt(std::uint64_t n) const {
            for (const auto& [key, call] : calls)
                if (std::ranges::find(call.attempts, n) != call.attempts.end()) return key;
            return std::nullopt;
        }
    };

    // Does the same to the table and to the model.
    class Pair {
    public:
        explicit Pair(std::uint64_t seed) : random_{seed} {}

        void step() {
            switch (random_() % 8) {
                case 0:
                case 1: return add();
                case 2:
                case 3: return send();
                case 4: return with_any(true, [&](CallKey key) { requeue(key); });
                case 5: return with_any(true, [&](CallKey key) { refuse(key); });
                case 6: return with_any(true, [&](CallKey key) { postpone(key); });
                default:
                    if (random_() % 40 == 0) return requeue_all();
                    return with_any(random_() % 4 != 0, [&](CallKey key) { remove(key); });
            }
        }
        void check() const {
            auto table = table_;
            table.invariants();
            table.deep_invariants();
            REQUIRE(table == table_);
            REQUIRE(table.size() == model_.calls.size());
            for (const auto kind : call_kinds) {
                const auto first = model_.first_waiting(kind);
                REQUIRE(table.has_waiting(kind) == first.has_value());
                if (first) REQUIRE(table.first_key(kind) == *first);
                if (first) REQUIRE(table.first_waiting(kind).key == *first);
            }
            const auto [time, key] = model_.first_timer();
            REQUIRE(table.deadline() == time);
            REQUIRE(table.due(at(0)) == nullptr);
            if (time != never) REQUIRE(table.due(time)->key == key);
            check_calls(table);
        }

    private:
        void check_calls(ClientCalls& table) const {
            std::vector<CallKey> keys;
            std::size_t in_flight = 0;
            for (const auto& [key, expected] : model_.calls) {
                keys.push_back(key);
                in_flight += expected.in_flight;
                const auto* call = table.find(key);
                REQUIRE(call != nullptr);
                REQUIRE(call->text == std::to_string(key));
                REQUIRE(call->kind() == expected.kind);
                REQUIRE(call->timer == expected.timer);
                REQUIRE(call->sent == expected.sent);
                REQUIRE(call->possible == expected.possible);
                REQUIRE(call->in_flight == expected.in_flight);
                REQUIRE(std::ranges::equal(call->attempts, expected.attempts));
            }
            REQUIRE(table.keys() == keys);
            REQUIRE(table.in_flight() == in_flight);
            for (std::uint64_t n = made_ > 40 ? made_ - 40 : 1; n <= made_ + 1; ++n) {
                const auto* call = table.by_attempt(n);
                const auto key = model_.by_attempt(n);
                REQUIRE((call != nullptr) == key.has_value());
                if (call) REQUIRE(call->key == *key);
                REQUIRE(table.made(n) == (n <= made_));
            }
        }

        template <typename Use>
        void with_any(bool in_flight, Use use) {
            std::vector<CallKey> fit;
            for (const auto& [key, call] : model_.calls)
                if (call.in_flight == in_flight) fit.push_back(key);
            if (!fit.empty()) use(fit[random_() % fit.size()]);
        }
        Time some_time() { return random_() % 8 == 0 ? never : at(1 + random_() % 50); }

        void add() {
            if (model_.calls.size() >= 60) return;
            last_ += 1 + random_() % 3;
            CallRequest request{.method = Method::pb_execute, .text = std::to_string(last_)};
            auto kind = CallKind::command;
            switch (random_() % 4) {
                case 0: request.method = Method::pb_query, kind = CallKind::read; break;
                case 1: request.method = Method::pb_dump, kind = CallKind::snapshot; break;
                case 2: request.method = Method::pb_dump, request.dump_at = Position{1, 2}, kind = CallKind::read;
            }
            const auto deadline = some_time();
            model_.calls.emplace(last_, Model::Call{kind, deadline, deadline});
            table_.add(last_, std::move(request), deadline);
        }
        void send() {
            const auto kind = call_kinds[random_() % std::size(call_kinds)];
            if (!table_.has_waiting(kind)) return;
            auto& call = table_.first_waiting(kind);
            auto& expected = model_.calls.at(call.key);
            const auto until = some_time();
            REQUIRE(table_.note_sent(call, until) == ++made_);
            expected.attempts.push_back(made_);
            if (expected.attempts.size() > Attempts::most) expected.attempts.pop_front();
            ++expected.sent;
            ++expected.possible;
            expected.in_flight = true;
            expected.timer = std::min(until, expected.deadline);
        }
        void requeue(CallKey key) {
            table_.requeue(*table_.find(key));
            settle(model_.calls.at(key));
        }
        void requeue_all() {
            table_.requeue_all();
            for (auto& [key, call] : model_.calls)
                if (call.in_flight) settle(call);
        }
        static void settle(Model::Call& call) {
            call.in_flight = false;
            call.timer = call.deadline;
        }
        // An attempt is refused, and then the call is not in flight any more if it was the newest one.
        void refuse(CallKey key) {
            auto& call = *table_.find(key);
            auto& expected = model_.calls.at(key);
            const auto n = expected.attempts[random_() % expected.attempts.size()];
            const bool newest = n == expected.attempts.back(), definite = random_() % 2 == 0;
            REQUIRE(table_.awaits(call, n) == newest);
            table_.refused(call, n, definite);
            std::erase(expected.attempts, n);
            if (definite) --expected.possible;
            if (newest) requeue(key);
        }
        void postpone(CallKey key) {
            const auto until = some_time();
            table_.postpone(*table_.find(key), until);
            auto& expected = model_.calls.at(key);
            expected.timer = std::min(until, expected.deadline);
        }
        void remove(CallKey key) {
            table_.remove(*table_.find(key));
            model_.calls.erase(key);
        }

        std::mt19937_64 random_;
        ClientCalls table_;
        Model model_;
        CallKey last_ = 0;
        std::uint64_t made_ = 0;
    };

    }  // namespace

    TEST_CASE("whatever happens to calls the table is what a simple model is") {
        for (std::uint64_t seed = 1; seed <= 5; ++seed) {
            CAPTURE(seed);
            Pair both{seed};
            for (int step = 0; step < 4'000; ++step) {
                both.step();
                if (step % 4 == 0) both.check();
            }
        }
    }

    TEST_CASE("calls that are in other slots are equal") {
        ClientCalls one, other;
        for (CallKey key = 1; key <= 3; ++key) one.add(key, command(), never);
        one.remove(*one.find(1));
        other.add(2, command(), never);
        other.add(3, command(), never);
        CHECK(one == other);
        one.add(4, command("4"), at(7));
        CHECK_FALSE(one == other);
        other.add(4, command("4"), at(7));
        CHECK(one == other);
        one.note_sent(one.first_waiting(CallKind::command), at(3));
        CHECK_FALSE(one == other);
        other.note_sent(other.first_waiting(CallKind::command), at(3));
        CHECK(one == other);
        one.find(3)->detail = "why";
        CHECK_FALSE(one == other);
    }

    TEST_CASE("a call starts as new in the slot of one that ended") {
        ClientCalls calls;
        calls.add(1, command(), at(9));
        auto& first = *calls.find(1);
        calls.note_sent(first, at(3));
        calls.requeue(first);
        calls.note_sent(first, at(4));
        first.session = {1, 2};
        first.seq = 7;
        first.refusal = error::overloaded;
        first.detail = "why";
        calls.remove(first);
        calls.add(2, command(), at(9));
        ClientCall fresh;
        static_cast<CallRequest&>(fresh) = command();
        fresh.key = 2;
        fresh.deadline = fresh.timer = at(9);
        CHECK(calls.find(2)->same_as(fresh));
        CHECK(calls.find(1) == nullptr);
        CHECK(calls.by_attempt(2) == nullptr);
    }

    TEST_CASE("the memory of a command serves the next one") {
        ClientCalls calls;
        auto text = std::string(500, 'x');
        const auto* memory = text.data();
        calls.add(1, command(std::move(text)), never);
        CHECK(calls.text_buffer().capacity() < 500);
        calls.remove(*calls.find(1));
        auto next = calls.text_buffer();
        CHECK(next.empty());
        CHECK(next.data() == memory);
    }

    TEST_CASE("one call that stays while very many pass makes no index grow") {
        ClientCalls calls;
        calls.add(1, command(), never);
        calls.note_sent(*calls.find(1), never);
        for (CallKey key = 2; key <= 300'000; ++key) {
            calls.add(key, command(), at(key));
            calls.note_sent(*calls.find(key), at(key));
            if (key > 10) calls.remove(*calls.find(key - 8));
        }
        CHECK(calls.slots() <= 16);
        calls.deep_invariants();
        CHECK(calls.by_attempt(1)->key == 1);
    }

    TEST_CASE("after very many calls at once their memory is given back") {
        ClientCalls calls;
        for (CallKey key = 1; key <= 20'000; ++key) calls.add(key, command(), at(key));
        CHECK(calls.slots() >= 20'000);
        for (CallKey key = 1; key <= 20'000; ++key) calls.remove(*calls.find(key));
        CHECK(calls.slots() == 0);
        calls.add(20'001, command(), at(1));
        calls.invariants();
        calls.deep_invariants();
        CHECK(calls.due(at(1))->key == 20'001);
    }

    TEST_CASE("long commands that have ended leave no memory behind") {
        ClientCalls calls;
        const auto run = [&](CallKey from, std::size_t bytes) {
            for (CallKey key = from; key < from + 200; ++key) calls.add(key, command(std::string(bytes, 'x')), at(100));
            for (CallKey key = from; key < from + 200; ++key) calls.remove(*calls.find(key));
        };
        run(1, 1u << 20);
        CHECK(calls.text_bytes() < 1u << 20);
        run(1000, 10);
        CHECK(calls.text_bytes() < 1u << 20);
    }
}
