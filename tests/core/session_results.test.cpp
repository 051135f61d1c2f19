#include <doctest/doctest.h>

#include <map>
#include <random>
#include <string>

#include <understudy/replica/session_results.hpp>

using namespace understudy;
using namespace understudy::replica;

TEST_SUITE("session_results") {
    namespace {

    SessionResults::Result result(Sequence seq) { return {seq, {1, seq}, std::to_string(seq)}; }

    std::string sequences(const SessionResults& results) {
        std::string text;
        results.each([&](const auto& one) { text += std::to_string(one.seq) + " "; });
        return text;
    }

    }  // namespace

    TEST_CASE("a result has its text whatever its length and its copies have it too") {
        for (std::size_t size : {0u, 1u, 22u, 23u, 24u, 64u, 1000u}) {
            CAPTURE(size);
            const std::string text(size, 'r');
            ResultText one{text}, other;
            CHECK(one.text() == text);
            CHECK(one.size() == size);
            CHECK((one == other) == (size == 0));
            other = one;
            one = ResultText{std::string{"another one, which is not short"}};
            CHECK(other.text() == text);
            if (other.shared()) {
                const auto copy = other;
                CHECK(copy.text().data() == other.text().data());
            }
        }
    }

    TEST_CASE("results are found by their number until it is forgotten") {
        SessionResults results;
        CHECK(results.find(1) == nullptr);
        for (Sequence seq : {1u, 2u, 4u, 5u}) results.record(result(seq));
        CHECK(results.find(3) == nullptr);
        CHECK(results.find(6) == nullptr);
        CHECK(*results.find(4) == result(4));
        results.forget_below(2);
        CHECK(results.find(1) == nullptr);
        CHECK(sequences(results) == "2 4 5 ");
        results.forget_below(6);
        CHECK(results.size() == 0);
        CHECK(results.find(5) == nullptr);
    }

    TEST_CASE("a result that comes out of turn takes its place") {
        SessionResults results;
        for (Sequence seq : {5u, 9u, 3u, 7u, 1u}) results.record(result(seq));
        results.forget_below(2);
        results.record(result(4));
        CHECK(sequences(results) == "3 4 5 7 9 ");
        CHECK(results.find(4)->value == "4");
    }

    TEST_CASE("those that come far out of turn are found in order and forgotten with the rest") {
        SessionResults falling, rising;
        for (Sequence seq = 5'000; seq > 0; --seq) falling.record(result(seq));
        for (Sequence seq = 1; seq <= 5'000; ++seq) rising.record(result(seq));
        CHECK(sequences(falling) == sequences(rising));
        CHECK(falling == rising);
        for (auto* results : {&falling, &rising}) results->forget_below(2'000);
        CHECK(falling.size() == 3'001);
        CHECK(falling == rising);
        CHECK(falling.find(1'999) == nullptr);
        CHECK(*falling.find(2'000) == result(2'000));
    }

    TEST_CASE("equal are those that hold the same whatever they have forgotten") {
        SessionResults grown, fresh;
        for (Sequence seq = 1; seq <= 20; ++seq) grown.record(result(seq));
        grown.forget_below(18);
        for (Sequence seq = 18; seq <= 20; ++seq) fresh.record(result(seq));
        CHECK(grown == fresh);
        fresh.forget_below(19);
        CHECK(grown != fresh);
    }

    TEST_CASE("any order of recording and forgetting gives what a map would hold") {
        std::mt19937 random{7};
        SessionResults results;
        std::map<Sequence, SessionResults::Result> model;
        Sequence low = 0, high = 1;
        for (int step = 0; step < 20'000; ++step) {
            if (random() % 4 != 0) {
                const auto seq = low + random() % (high - low + (random() % 50 == 0 ? 400 : 3));
                high = std::max(high, seq);
                const SessionResults::Result recorded{seq, {2, random() % 100}, std::to_string(random() % 1000)};
                if (model.emplace(seq, recorded).second) results.record(recorded);
            } else {
                low = std::min(high, low + random() % 12);
                results.forget_below(low);
                model.erase(model.begin(), model.lower_bound(low));
            }
            REQUIRE(results.size() == model.size());
            const auto sought = low + random() % (high - low + 2);
            const auto found = model.find(sought);
            const auto* held = results.find(sought);
            REQUIRE((held != nullptr) == (found != model.end()));
            if (held) REQUIRE(*held == found->second);
        }
    }
}
