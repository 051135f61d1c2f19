// The keys of a node in brief against the whole keys.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <understudy/kv/key_index.hpp>

using understudy::kv::KeyIndex;

TEST_SUITE("key_index") {
    namespace {

    struct Keys {
        std::vector<std::string> all;  // in ascending order
        KeyIndex index;

        void build() {
            index.build(all.size(), all.size(), [&](std::size_t n) { return std::string_view{all[n]}; });
        }
        void insert(const std::string& key) {
            const auto at = std::lower_bound(all.begin(), all.end(), key);
            if (at != all.end() && *at == key) return;
            const auto place = static_cast<std::size_t>(at - all.begin());
            all.insert(at, key);
            if (!index.insert(place, key)) build();
        }
        void erase(std::size_t at) {
            all.erase(all.begin() + static_cast<std::ptrdiff_t>(at));
            index.erase(at);
        }
    };

    void check_range(const Keys& keys, const std::string& key) {
        const auto [first, last] = keys.index.range(key);
        REQUIRE(first <= last);
        REQUIRE(last <= keys.all.size());
        const auto at = static_cast<std::size_t>(std::lower_bound(keys.all.begin(), keys.all.end(), key) -
                                                 keys.all.begin());
        const bool there = at < keys.all.size() && keys.all[at] == key;
        REQUIRE(first <= at);
        REQUIRE(at + (there ? 1 : 0) <= last);
    }

    }  // namespace

    TEST_CASE("the place of a key is always within the range that the index gives") {
        for (unsigned seed = 1; seed <= 20; ++seed) {
            std::mt19937 random{seed};
            const std::string common(random() % 12, 'c');
            const auto key = [&] {
                std::string text = random() % 20 == 0 ? "" : common;
                for (auto left = random() % 14; left > 0; --left) text += "\0\1ab\xff"[random() % 5];
                return text;
            };
            Keys keys;
            for (int step = 0; step < 2'000; ++step) {
                if (keys.all.size() < 64 && random() % 3 != 0) keys.insert(key());
                else if (!keys.all.empty()) keys.erase(random() % keys.all.size());
                if (random() % 100 == 0) keys.build();
                check_range(keys, key());
                if (!keys.all.empty()) check_range(keys, keys.all[random() % keys.all.size()]);
            }
        }
    }

    TEST_CASE("keys that differ within eight bytes behind what they have in common are told apart at once") {
        Keys keys;
        for (int n = 100; n < 164; ++n) keys.insert("a long beginning/" + std::to_string(n) + "/and a long end");
        keys.build();
        for (std::size_t n = 0; n < keys.all.size(); ++n)
            CHECK(keys.index.range(keys.all[n]) == std::pair{n, n + 1});
        CHECK(keys.index.range("a") == std::pair<std::size_t, std::size_t>{0, 0});
        CHECK(keys.index.range("b") == std::pair<std::size_t, std::size_t>{64, 64});
    }
}
