// A journal is read in one thread and handed over in another: nothing may be lost in between, and errors must reach the
// right side.
#include <doctest/doctest.h>

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <understudy/journal/read_ahead.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::replica;
using understudy::journal::read_ahead;

TEST_SUITE("read_ahead") {
    namespace {

    /// Records the calls that it receives.
    struct Recorder : JournalReader {
        std::string snapshot(const SnapshotPiece& piece) override { return note("piece " + std::to_string(piece.n)); }
        void hard_state(HardState hard_state) override { note("standing " + hard_state.name); }
        std::string batch(const JournalBatch& batch, std::span<const EntryView> entries) override {
            auto text = "batch " + std::to_string(batch.number);
            for (const auto& entry : entries)
                text += " " + std::to_string(entry.at.index) + ":" + std::to_string(entry.command.size()) +
                        std::string{entry.command.substr(0, 1)};
            return note(std::move(text));
        }
        std::string complete() override { return note("complete"); }
        void to_come(std::uint64_t bytes) override { left = bytes; }

        std::string note(std::string text) {
            threads_agree = threads_agree && std::this_thread::get_id() == here;
            heard.push_back(std::move(text));
            return heard.back() == refused ? "not that" : "";
        }
        std::thread::id here = std::this_thread::get_id();
        bool threads_agree = true;
        std::vector<std::string> heard;
        std::string refused;
        std::uint64_t left = 0;
    };

    void must(const std::string& wrong) {
        if (!wrong.empty()) throw std::runtime_error{wrong};
    }

    /// Hands over a journal of so many batches: small ones, and some larger than a block.
    void read(JournalReader& to, std::uint64_t batches) {
        must(to.snapshot({{}, 0, {}, false, false}));
        must(to.snapshot({{}, 1, {}, true, false}));
        HardState hard_state;
        hard_state.name = "a";
        Index index = 0;
        for (std::uint64_t number = 1; number <= batches; ++number) {
            std::vector<std::string> commands(number % 4, std::string(number * 7 % 500, 'c'));
            if (number % 1'000 == 0) commands.emplace_back(700'000, 'L');
            std::vector<EntryView> entries;
            for (const auto& command : commands) {
                entries.emplace_back().at = {1, ++index};
                entries.back().command = command;
            }
            JournalBatch batch;
            batch.number = number;
            to.to_come(batches - number);
            must(to.batch(batch, entries));
            if (number % 1'500 == 0) to.hard_state(hard_state);
        }
        must(to.complete());
    }
    std::string explain(std::uint64_t number, const std::string& wrong) {
        return "batch " + std::to_string(number) + ": " + wrong;
    }
    /// The text of the exception that `read_ahead` throws; empty if it throws none.
    template <typename Read>
    std::string failure(JournalReader& to, Read how) {
        try {
            read_ahead(to, how, explain);
        } catch (const std::exception& thrown) {
            return thrown.what();
        }
        return {};
    }

    constexpr std::uint64_t many = 5'000;
    const auto read_many = [](JournalReader& to) { read(to, many); };

    }  // namespace

    TEST_CASE("a reader is told all in its order and in its own thread") {
        Recorder alone, ahead;
        read(alone, many);
        read_ahead(ahead, read_many, explain);
        CHECK(ahead.heard == alone.heard);
        CHECK(ahead.threads_agree);
        CHECK(ahead.left == 0);
    }

    TEST_CASE("what a reader finds wrong with a batch names that batch and ends the reading") {
        for (const auto number : {4, 2'222, 5'000}) {
            Recorder alone;
            read(alone, many);
            Recorder ahead;
            for (const auto& line : alone.heard)
                if ((line + " ").starts_with("batch " + std::to_string(number) + " ")) ahead.refused = line;
            bool read_all = false;
            const auto how = [&](JournalReader& to) {
                read(to, many);
                read_all = true;
            };
            CHECK(failure(ahead, how) == "batch " + std::to_string(number) + ": not that");
            CHECK(ahead.heard.back() == ahead.refused);
            CHECK(!read_all);
        }
    }

    TEST_CASE("what a reader finds wrong with anything else is told to the journal") {
        for (const std::string refused : {"piece 1", "complete"}) {
            Recorder ahead;
            ahead.refused = refused;
            CHECK(failure(ahead, read_many) == "not that");
            CHECK(ahead.heard.back() == refused);
        }
    }

    TEST_CASE("what the reading throws comes after all that was read before") {
        Recorder ahead;
        const auto damaged = [](JournalReader& to) {
            read(to, 700);
            throw std::runtime_error{"damaged"};
        };
        CHECK(failure(ahead, damaged) == "damaged");
        CHECK(ahead.heard.back() == "complete");
        Recorder torn;
        const auto torn_off = [](JournalReader& to) {
            JournalBatch batch;
            for (batch.number = 1; batch.number <= 700; ++batch.number) must(to.batch(batch, {}));
            throw std::runtime_error{"torn off"};
        };
        CHECK(failure(torn, torn_off) == "torn off");
        CHECK(torn.heard.size() == 700);
    }

    TEST_CASE("what a reader throws ends the reading wherever it was") {
        struct Thrower final : Recorder {
            std::string snapshot(const SnapshotPiece& piece) override {
                return at("snapshot", Recorder::snapshot(piece));
            }
            std::string batch(const JournalBatch& batch, std::span<const EntryView> entries) override {
                return at("batch", Recorder::batch(batch, entries));
            }
            std::string complete() override { return at("complete", Recorder::complete()); }
            std::string at(const std::string& place, std::string answer) {
                if (place == thrown_at) throw std::logic_error{"no memory"};
                return answer;
            }
            std::string thrown_at;
        };
        for (const std::string place : {"snapshot", "batch", "complete"}) {
            Thrower thrower;
            thrower.thrown_at = place;
            CHECK(failure(thrower, read_many) == "no memory");
        }
    }

    TEST_CASE("many batches without entries and few of great length pass as any others") {
        Recorder ahead;
        const auto how = [](JournalReader& to) {
            JournalBatch batch;
            for (batch.number = 1; batch.number <= 20'000; ++batch.number) must(to.batch(batch, {}));
            const std::string command(9'000'000, 'L');
            EntryView entry;
            entry.command = command;
            for (; batch.number <= 20'003; ++batch.number) must(to.batch(batch, {&entry, 1}));
        };
        CHECK(failure(ahead, how).empty());
        CHECK(ahead.heard.size() == 20'003);
        CHECK(ahead.heard.back() == "batch 20003 0:9000000L");
    }
}
