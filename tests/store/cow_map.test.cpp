// The copy-on-write map against std::map, with copies kept at random points.
#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <understudy/kv/cow_map.hpp>

using understudy::kv::CowMap;

TEST_SUITE("cow_map") {
    namespace {

    using Model = std::map<std::string, std::string>;

    Model content(const CowMap& map) {
        Model all;
        for (auto at = map.begin(); !at.at_end(); at.next()) all.emplace_hint(all.end(), at.key(), at.value());
        return all;
    }

    std::size_t payload(const Model& model) {
        std::size_t bytes = 0;
        for (const auto& [key, value] : model) bytes += key.size() + value.size();
        return bytes;
    }

    void check_same(const CowMap& map, const Model& model) {
        REQUIRE(map.size() == model.size());
        REQUIRE(map.payload_bytes() == payload(model));
        REQUIRE(content(map) == model);
    }

    // A map and its model, to which the same changes are made. Values are drawn by hand, because std distributions
    // differ between libraries.
    struct Pair {
        explicit Pair(unsigned seed) : random{seed} {}

        std::size_t below(std::size_t limit) { return random() % limit; }
        std::string key(std::size_t keys) {
            auto number = below(keys);
            auto text = std::to_string(number);
            // keys that differ only near their end
            if (number % 3 == 0) return "a common and rather long prefix/" + text;
            if (number % 3 == 1) return std::string{static_cast<char>(number % 256), '\0'} + text;
            return text;
        }
        std::string value() { return std::string(below(40), static_cast<char>(below(256))); }

        void step(std::size_t keys, std::size_t erase_percent) {
            auto name = key(keys);
            if (below(100) < erase_percent) {
                REQUIRE(map.erase(name) == (model.erase(name) == 1));
            } else if (below(2) == 0) {
                auto text = value();
                map.assign(name, text);
                model[name] = text;
            } else {
                auto text = value();
                REQUIRE(map.append(name, text) == (model[name] += text).size());
            }
        }

        std::mt19937 random;
        CowMap map;
        Model model;
    };

    }  // namespace

    TEST_CASE("an empty map has nothing") {
        CowMap map;
        CHECK(map.size() == 0);
        CHECK_FALSE(map.find("a"));
        CHECK_FALSE(map.erase("a"));
        CHECK(map.begin().at_end());
        CHECK(map.lower_bound("a").at_end());
        map.assign("", "empty key");
        CHECK(map.find("") == "empty key");
        CHECK(map.erase(""));
        CHECK(map.begin().at_end());
        CHECK(map == CowMap{});
    }

    TEST_CASE("any history leaves what std::map would hold and copies stay as they were taken") {
        for (unsigned seed = 1; seed <= 12; ++seed) {
            CAPTURE(seed);
            Pair pair{seed};
            std::vector<std::pair<CowMap, Model>> held;
            std::size_t keys = seed % 2 == 0 ? 5000 : 300;
            for (int phase = 0; phase < 4; ++phase) {
                for (int i = 0; i < 4000; ++i) {
                    pair.step(keys, phase % 2 == 0 ? 10 : 80);  // grow, then shrink
                    if (pair.below(1500) == 0) held.emplace_back(pair.map, pair.model);
                    if (!held.empty() && pair.below(3000) == 0) held.erase(held.begin());
                }
                check_same(pair.map, pair.model);
                for (const auto& [map, model] : held) check_same(map, model);
            }
        }
    }

    TEST_CASE("a copy that is changed leaves the map that it was taken of alone") {
        Pair pair{7};
        for (int i = 0; i < 3000; ++i) pair.step(1000, 5);
        auto copy = pair;
        for (int i = 0; i < 3000; ++i) copy.step(1000, 60);
        check_same(copy.map, copy.model);
        check_same(pair.map, pair.model);
        CHECK_FALSE(copy.map == pair.map);
    }

    TEST_CASE("a cursor starts at the first key that is not below the one asked for") {
        Pair pair{3};
        for (int i = 0; i < 3000; ++i) pair.step(2000, 20);
        for (int i = 0; i < 500; ++i) {
            auto from = pair.key(2500);
            auto at = pair.map.lower_bound(from);
            auto expected = pair.model.lower_bound(from);
            for (int n = 0; n < 70; ++n, ++expected, at.next()) {
                REQUIRE(at.at_end() == (expected == pair.model.end()));
                if (at.at_end()) break;
                REQUIRE(at.key() == expected->first);
                REQUIRE(at.value() == expected->second);
            }
        }
    }

    TEST_CASE("a cursor of a copy outlives changes and the end of the map that was copied") {
        auto map = std::make_unique<CowMap>();
        for (int i = 0; i < 1000; ++i) map->assign(std::to_string(10000 + i), "old");
        auto copy = *map;
        auto at = copy.begin();
        for (int i = 0; i < 1000; ++i) {
            if (i < 500) map->assign(std::to_string(10000 + i), "new");
            if (i == 500) map.reset();
            REQUIRE(at.key() == std::to_string(10000 + i));
            REQUIRE(at.value() == "old");
            at.next();
        }
        CHECK(at.at_end());
    }

    TEST_CASE("keys may come and go in rising or falling order") {
        constexpr int count = 6000;
        auto name = [](int number) { return std::to_string(100000 + number); };
        for (bool rising_in : {true, false})
            for (bool rising_out : {true, false}) {
                CowMap map;
                for (int i = 0; i < count; ++i) map.assign(name(rising_in ? i : count - 1 - i), "v");
                REQUIRE(map.size() == count);
                for (int i = 0; i < count; ++i) {
                    REQUIRE(map.erase(name(rising_out ? i : count - 1 - i)));
                    if (i % 500 == 0) REQUIRE(content(map).size() == static_cast<std::size_t>(count - 1 - i));
                }
                CHECK(map.begin().at_end());
            }
    }

    TEST_CASE("maps are equal by content whatever their history") {
        CowMap one, other;
        for (int i = 0; i < 500; ++i) one.assign(std::to_string(i), std::to_string(i * i));
        for (int i = 999; i >= 0; --i) other.append(std::to_string(i), "");
        for (int i = 0; i < 500; ++i) other.append(std::to_string(i), std::to_string(i * i));
        CHECK_FALSE(one == other);
        for (int i = 500; i < 1000; ++i) other.erase(std::to_string(i));
        CHECK(one == other);
        other.assign("7", "50");
        CHECK_FALSE(one == other);
    }

    TEST_CASE("keys above all others are added at the end and others are refused there") {
        CowMap map, copy;
        Model model;
        for (int i = 0; i < 6000; ++i) {
            const auto key = std::to_string(200000 + 2 * i);
            if (i % 700 == 0) copy = map;
            REQUIRE(map.push_back(key, "value " + key));
            model[key] = "value " + key;
            REQUIRE_FALSE(map.push_back(key, ""));
            REQUIRE_FALSE(map.push_back(std::to_string(200000 + 2 * i - 1), ""));
        }
        check_same(map, model);
        CHECK(copy.size() == 5600);
        CHECK(content(copy).rbegin()->first == std::to_string(200000 + 2 * 5599));
    }

    TEST_CASE("a copy that lets go of what was read leaves other copies and what is ahead alone") {
        for (bool shared : {false, true}) {
            CowMap map;
            Model model;
            for (int i = 0; i < 6000; ++i)
                map.assign(std::to_string(100000 + i), model[std::to_string(100000 + i)] = "v");
            auto read = map, other = map;
            if (!shared) other = {};
            std::mt19937 random{5};
            auto at = read.begin();
            for (auto expected = model.begin(); expected != model.end(); ++expected) {
                REQUIRE_FALSE(at.at_end());
                REQUIRE(at.key() == expected->first);
                REQUIRE(at.value() == "v");
                map.assign(std::to_string(100000 + random() % 6000), "changed meanwhile");
                at.next();
                if (at.in_new_leaf()) read.release_before(at);
            }
            CHECK(at.at_end());
            CHECK(map.size() == 6000);
            if (shared) check_same(other, model);
        }
    }

    TEST_CASE("keys are ordered by their unsigned bytes") {
        CowMap map;
        for (const char* key : {"\xff", "a", "\x80", "\x7f", "aa", "B"}) map.assign(key, "");
        std::string order;
        for (auto at = map.begin(); !at.at_end(); at.next()) order += std::string{at.key()} + " ";
        CHECK(order == "B a aa \x7f \x80 \xff ");
    }


    TEST_CASE("the memory of large records is used again and copies keep theirs") {
        std::mt19937 random{23};
        CowMap map;
        std::map<std::string, std::string, std::less<>> model;
        std::vector<std::pair<CowMap, decltype(model)>> copies;
        for (int round = 0; round < 600; ++round) {
            const auto key = "key" + std::to_string(random() % 4);
            const std::string value(random() % 120'000, static_cast<char>('a' + round % 26));
            if (random() % 4 == 0 || model[key].size() > 1'000'000) {
                map.assign(key, value);
                model[key] = value;
            } else {
                model[key] += value;
                CHECK(map.append(key, value) == model[key].size());
            }
            REQUIRE(map.find(key) == model[key]);
            if (round % 50 == 0) copies.emplace_back(map, model);
        }
        for (const auto& [copy, then] : copies)
            for (const auto& [key, value] : then)
                if (copy.find(key)) CHECK(*copy.find(key) == value);
    }
}  // TEST_SUITE
