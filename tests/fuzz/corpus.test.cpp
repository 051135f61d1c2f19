// The fuzz targets without a fuzzer: every stored input, and new inputs that are random or mutated from stored ones.
#include <algorithm>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/fuzz/targets.hpp"
#include "tests/support/setting.hpp"

using namespace understudy;
using namespace understudy::fuzz;

TEST_SUITE("corpus") {
    namespace fs = std::filesystem;

    /// Turns a failed check into an exception, so that the test can say which input failed.
    class ThrowingChecks {
    public:
        ThrowingChecks() : before_{set_check_handler(&fail)} {}
        ~ThrowingChecks() { set_check_handler(before_); }
        ThrowingChecks(const ThrowingChecks&) = delete;
        ThrowingChecks& operator=(const ThrowingChecks&) = delete;

    private:
        static void fail(const char* condition, const char* file, int line) {
            throw std::logic_error(std::string{condition} + " (" + file + ":" + std::to_string(line) + ")");
        }
        CheckHandler before_;
    };

    std::vector<fs::path> kept_files(const Target& target) {
        std::vector<fs::path> files;
        const auto folder = fs::path{UNDERSTUDY_SOURCE_DIR} / "tests/fuzz/corpus" / target.name;
        for (const auto& entry : fs::directory_iterator{folder}) files.push_back(entry.path());
        std::ranges::sort(files);
        return files;
    }
    std::string contents(const fs::path& path) {
        std::ifstream file{path, std::ios::binary};
        return {std::istreambuf_iterator<char>{file}, {}};
    }

    /// The error, or an empty string.
    std::string outcome(const Target& target, const std::string& input) {
        try {
            target.run(input);
            return {};
        } catch (const std::exception& wrong) {
            return *wrong.what() ? wrong.what() : "an exception without a text";
        }
    }
    std::string hex(const std::string& bytes) {
        std::string text;
        for (const auto byte : bytes) text += to_hex(std::uint64_t(static_cast<unsigned char>(byte))).substr(14);
        return text;
    }

    class Inputs {
    public:
        Inputs(const std::vector<fs::path>& kept, std::uint64_t seed) : random_{seed} {
            for (const auto& path : kept) kept_.push_back(contents(path));
        }
        std::string next() {
            if (kept_.empty() || below(4) == 0) return noise(below(300));
            auto input = kept_[below(kept_.size())];
            for (auto changes = 1 + below(4); changes > 0; --changes) change(input);
            return input;
        }

    private:
        std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_() % n); }
        char any_byte() { return static_cast<char>(below(3) == 0 ? below(256) : below(32)); }
        std::string noise(std::size_t length) {
            std::string bytes(length, '\0');
            std::ranges::generate(bytes, [this] { return any_byte(); });
            return bytes;
        }
        void change(std::string& input) {
            const auto at = below(input.size() + 1);
            const auto length = std::min(below(8), input.size() - at);
            switch (below(4)) {
                case 0: input.replace(at, length, noise(length)); break;
                case 1: input.insert(at, noise(below(8))); break;
                case 2: input.erase(at, length); break;
                default:
                    input.resize(at), input += kept_[below(kept_.size())];
                    break;  // the start of one input, then another input
            }
        }

        std::mt19937_64 random_;
        std::vector<std::string> kept_;
    };

    TEST_CASE("every kept input passes its target") {
        const ThrowingChecks checks;
        for (const auto& target : targets) {
            const auto files = kept_files(target);
            INFO("target ", target.name);
            CHECK(files.size() >= 10);
            for (const auto& path : files) {
                INFO("input ", path.string());
                CHECK(outcome(target, contents(path)) == "");
            }
        }
    }

    TEST_CASE("inputs drawn by chance pass every target") {
        const ThrowingChecks checks;
        const auto from = test::setting("UNDERSTUDY_FROM", 1);
        const auto seeds = test::setting("UNDERSTUDY_SEEDS", 500);
        for (const auto& target : targets) {
            const auto kept = kept_files(target);
            for (auto seed = from; seed < from + seeds; ++seed) {
                Inputs inputs{kept, seed};
                for (int i = 0; i < 4; ++i) {
                    const auto input = inputs.next();
                    const auto wrong = outcome(target, input);
                    INFO("target ", target.name, " seed ", seed, " bytes ", hex(input));
                    REQUIRE(wrong == "");
                }
            }
        }
    }

    TEST_CASE("a target that fails a check is noticed") {
        const ThrowingChecks checks;
        const Target broken{"broken", [](std::string_view bytes) { UNDERSTUDY_CHECK(bytes.size() < 3); }};
        CHECK(outcome(broken, "ab") == "");
        CHECK(outcome(broken, "abc").starts_with("bytes.size() < 3"));
    }
}
