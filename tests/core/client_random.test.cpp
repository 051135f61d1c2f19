// The client's state machine against a small model of a group, over a network that loses, repeats, delays and reorders
// messages, while primaries change, connections end and sessions expire. Fixed seeds.
#include <doctest/doctest.h>

#include <map>
#include <set>

#include <tests/support/hand_driver.hpp>
#include <understudy/client/state_machine.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::client;

TEST_SUITE("client_random") {
    namespace {

    struct Kind {
        bool sessions = true;
        bool repeats = true;
    };

    // Two servers that share one replicated state, and a view service that says which of them is primary.
    class World {
    public:
        World(std::uint64_t seed, Kind kind)
            : kind_(kind), chance_(seed), clerk_(options(kind), seed), view_{"main", ClusterId{7}, 100ms, {}} {
            fail_over();
        }

        void run() {
            for (int step = 0; step < 3000; ++step) {
                now_ += Duration{static_cast<Duration::rep>(chance_.next() % 2'000'000)};
                if (one_in(4)) start();
                if (one_in(60) && last_ > 0) cancel(1 + chance_.next() % last_);
                if (one_in(150)) fail_over();
                if (one_in(100)) clerk_.disconnected(name(primary_), now_, out_);
                if (one_in(300)) clerk_.disconnected("v", now_, out_);
                if (one_in(200)) stall();
                turn();
            }
            calm_ = true;
            for (int step = 0; step < 20'000 && (clerk_.pending() > 0 || !network_.empty()); ++step) {
                now_ += 1ms;
                turn();
            }
            CHECK(clerk_.pending() == 0);
            CHECK(live_.empty());
            CHECK(answered_ > last_ / 2);
        }

    private:
        struct Session {
            std::map<Sequence, ExecuteResult> results;
            Sequence low = 1;
            Time used{};
        };

        static ClientOptions options(Kind kind) {
            ClientOptions options;
            options.view_service = {"v"};
            options.give_up_after = 3s;
            options.resend_after = 100ms;
            options.window = 8;
            options.session = kind.sessions;
            return options;
        }
        static Address name(std::uint64_t server) { return server == 0 ? "a" : "b"; }
        bool one_in(std::uint64_t n) { return chance_.next() % n == 0; }

        void start() {
            auto key = ++last_;
            auto timeout = one_in(10) ? 60ms : 3s;
            live_.insert(key);
            if (one_in(4))
                clerk_.query(key, std::to_string(key), timeout, now_);
            else {
                commands_.insert(key);
                clerk_.execute(key, std::to_string(key), timeout, now_);
            }
        }
        // Lasts longer than the client awaits an answer, so sessions may expire while copies of messages are in flight.
        void stall() {
            now_ += 600ms;
            std::erase_if(sessions_, [&](const auto& each) { return now_ - each.second.used > 500ms; });
        }
        void cancel(CallKey key) {
            clerk_.cancel(key, now_);
            live_.erase(key);
        }
        void fail_over() {
            primary_ = 1 - primary_;
            ++view_.view.number;
            view_.view.primary = {name(primary_), Incarnation{primary_ + 1}, false};
            if (watched_) transmit({"v", "", ViewChanged{view_}}, false);
        }

        void turn() {
            while (!network_.empty() && network_.begin()->first <= now_) {
                auto [envelope, to_server] = std::move(network_.begin()->second);
                network_.erase(network_.begin());
                if (to_server)
                    serve(envelope);
                else
                    clerk_.receive(std::move(envelope), now_, out_);
            }
            test::take_turn(clerk_, now_, out_);
            CHECK(clerk_.deadline() > now_);
            for (auto& end : clerk_.take_finished()) check_end(end);
            for (auto& envelope : out_.outbox) {
                if (auto* execute = std::get_if<Execute>(&envelope.message)) check_low(*execute);
                transmit(std::move(envelope), true);
            }
            for (const auto& event : out_.events) CHECK_FALSE(std::holds_alternative<Refused>(event));
            out_.clear();
        }
        void transmit(Envelope envelope, bool to_server) {
            if (!calm_ && one_in(10)) return;
            for (int copies = !calm_ && one_in(10) && (kind_.repeats || !to_server) ? 2 : 1; copies > 0; --copies) {
                auto delay =
                    Duration{static_cast<Duration::rep>(chance_.next() % (one_in(20) ? 300'000'000 : 10'000'000))};
                network_.emplace(now_ + delay, std::pair{envelope, to_server});
            }
        }

        // Answers a request as a server does.
        void serve(const Envelope& request) {
            auto reply = [&](Message message) { transmit({request.peer, request.id, std::move(message)}, false); };
            auto refuse = [&](error code) {
                std::optional<ViewInfo> info;
                if (one_in(2)) info = view_;
                reply(Failure{"", code, "why", info, {}, {}});
            };
            if (request.peer == "v") {
                watched_ = true;
                return reply(ViewResult{view_});
            }
            if (request.peer != name(primary_)) return refuse(error::not_primary);
            if (!calm_ && one_in(20)) return refuse(one_in(2) ? error::overloaded : error::not_enough_replicas);
            if (std::holds_alternative<Open>(request.message)) {
                SessionId id{view_.view.number, ++index_};
                sessions_[id].used = now_;
                return reply(OpenResult{id});
            }
            if (auto* query = std::get_if<Query>(&request.message))
                return reply(QueryResult{{1, index_}, query->query});
            auto& execute = std::get<Execute>(request.message);
            if (!kind_.sessions) return reply(effect(execute));
            auto session = sessions_.find(execute.session);
            if (session == sessions_.end()) return refuse(error::session_expired);
            auto& [results, low, used] = session->second;
            used = now_;
            if (auto known = results.find(execute.seq); known != results.end()) return reply(known->second);
            if (execute.seq < low) return;  // S10: no effect; the caller has given up
            low = std::max(low, execute.low);
            results.erase(results.begin(), results.lower_bound(low));
            auto result = results[execute.seq] = effect(execute);
            if (!calm_ && one_in(20)) return refuse(error::not_primary);  // it stepped down before it could answer (S6)
            reply(result);
        }
        ExecuteResult effect(const Execute& execute) {
            auto key = std::stoull(execute.command);
            ++output_[key];
            if (kind_.sessions) CHECK(output_[key] == 1);
            first_.try_emplace(key, index_ + 1);
            return {{view_.view.number, ++index_}, execute.command};
        }

        // Checks how a call ended.
        void check_end(const Finished& end) {
            REQUIRE(live_.erase(end.key) == 1);  // each call ends once, and only if it was made
            if (!end.error) {
                ++answered_;
                CHECK(end.value == std::to_string(end.key));
                if (commands_.contains(end.key) && kind_.sessions) CHECK(end.at.index == first_.at(end.key));
            } else if (!commands_.contains(end.key)) {
                CHECK(end.error == error::deadline_passed);
            } else if (end.error != error::outcome_unknown) {
                auto certain = end.error == error::deadline_passed || !kind_.repeats;
                if (certain) CHECK_MESSAGE(!output_.contains(end.key), to_string(*end.error));
                if (end.error != error::deadline_passed)
                    CHECK((end.error == error::overloaded || end.error == error::not_enough_replicas));
            }
        }
        // C3: `low` must not pass a command whose caller still waits.
        void check_low(const Execute& execute) {
            if (!kind_.sessions) return;
            auto& sent = sent_[execute.session];
            sent[execute.seq] = std::stoull(execute.command);
            CHECK(execute.low <= execute.seq);
            for (auto it = sent.begin(); it != sent.lower_bound(execute.low); it = sent.erase(it))
                CHECK_FALSE(live_.contains(it->second));
        }

        Kind kind_;
        Prng chance_;
        ClientStateMachine clerk_;
        ViewInfo view_;
        Time now_{Duration{10s}};
        client::Output out_;
        std::multimap<Time, std::pair<Envelope, bool>> network_;
        bool calm_ = false, watched_ = false;
        std::uint64_t primary_ = 1;
        Index index_ = 0;
        std::map<SessionId, Session> sessions_;
        std::map<CallKey, int> output_;
        std::map<CallKey, Index> first_;
        CallKey last_ = 0;
        std::size_t answered_ = 0;
        std::set<CallKey> live_, commands_;
        std::map<SessionId, std::map<Sequence, CallKey>> sent_;
    };

    }  // namespace

    TEST_CASE("C2: over any network each call ends once and each command takes effect at most once") {
        for (std::uint64_t seed = 1; seed <= 20; ++seed) {
            CAPTURE(seed);
            World{seed, {}}.run();
        }
    }

    TEST_CASE("C3: over a network that repeats no request an error other than unknown means no effect") {
        for (std::uint64_t seed = 101; seed <= 120; ++seed) {
            CAPTURE(seed);
            World{seed, {.sessions = true, .repeats = false}}.run();
        }
    }

    TEST_CASE("C5: without sessions each call ends once too") {
        for (std::uint64_t seed = 201; seed <= 210; ++seed) {
            CAPTURE(seed);
            World{seed, {.sessions = false, .repeats = false}}.run();
        }
    }
}
