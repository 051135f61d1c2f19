// The session table: its size in bytes, and its text, which is sent in pieces.
#include <doctest/doctest.h>

#include <random>
#include <string>
#include <string_view>
#include <utility>

#include <understudy/replica/session_table.hpp>

using namespace understudy;
using namespace understudy::replica;

TEST_SUITE("session_table") {
    namespace {

    void record(SessionTable& table, SessionId id, Sequence seq, std::string value) {
        table.record(*table.find(id), {seq, {1, seq}, std::move(value)});
    }
    /// Sessions with short and long results, some of them far out of order.
    SessionTable some_table() {
        SessionTable table;
        for (Index n = 1; n <= 20; ++n) {
            table.open({1, n * n * n}, Time{});
            for (Sequence seq = n % 4 == 0 ? 0 : n; seq > 0; --seq)
                record(table, {1, n * n * n}, seq * 700, std::string(seq * seq * n % 300, 'x'));
            table.raise_low(*table.find({1, n * n * n}), n * 90);
        }
        record(table, {1, 1}, ~Sequence{0}, "the last number there is");
        return table;
    }
    /// The text as it was written before it was split into pieces.
    std::string text_at_once(const SessionTable& table) {
        std::string text;
        put_number(text, table.size());
        for (const auto& [id, session] : table.all()) {
            for (auto number : {id.view, id.index, session.low, Sequence{session.results.size()}})
                put_number(text, number);
            session.results->each([&](const auto& result) {
                for (auto number : {result.seq, result.at.view, result.at.index}) put_number(text, number);
                put_bytes(text, result.value.text());
            });
        }
        return text;
    }
    std::string read_all(SessionTableWriter writer, std::size_t max) {
        std::string text;
        for (auto left = writer.left();; left = writer.left()) {
            const auto piece = writer.read(max);
            CHECK(piece.size() == std::min(left, max));
            if (piece.empty()) return text;
            text += piece;
        }
    }
    std::string feed(SessionTableReader& reader, std::string_view text, std::size_t step) {
        for (; !text.empty(); text.remove_prefix(std::min(step, text.size()))) {
            auto piece = text.substr(0, step);
            if (auto wrong = reader.feed(piece); !wrong.empty()) return wrong;
        }
        return {};
    }

    }  // namespace

    TEST_CASE("digits are counted as they are written") {
        for (std::uint64_t power = 1; power <= ~std::uint64_t{0} / 10; power *= 10)
            for (auto value : {power - 1, power, power + 1, power * 9})
                CHECK(digits(value) == std::to_string(value).size());
        CHECK(digits(~std::uint64_t{0}) == 20);
    }

    TEST_CASE("S8: the session table is written piece by piece in the form that it always had") {
        const auto table = some_table();
        std::string expected;
        put_bytes(expected, text_at_once(table));
        for (std::size_t max : {1u, 2u, 7u, 64u, 1000u, 1'000'000u})
            CHECK(read_all(SessionTableWriter{table}, max) == expected);
        CHECK(table.save() == text_at_once(table));
        CHECK(read_all(SessionTableWriter{SessionTable{}}, 3) == "2 0  ");
    }

    TEST_CASE("S8: a session table that is being written does not see what changes meanwhile") {
        auto table = some_table();
        const auto before = read_all(SessionTableWriter{table}, 100);
        SessionTableWriter writer{table};
        auto text = writer.read(100);
        for (Index n = 1; n <= 20; ++n) {
            record(table, {1, n * n * n}, 1'000'000, std::string(500, 'y'));
            table.raise_low(*table.find({1, n * n * n}), 900'000);
        }
        table.close({1, 8});
        CHECK(text + read_all(std::move(writer), 100) == before);
    }

    TEST_CASE("S8: a session table is read however it is cut and what follows it is left") {
        const auto table = some_table();
        const auto text = read_all(SessionTableWriter{table}, 1000);
        for (std::size_t step : {1u, 3u, 50u, 4096u}) {
            SessionTableReader reader;
            CHECK(feed(reader, text, step) == "");
            REQUIRE(reader.complete());
            CHECK(reader.take_rest() == "");
            const auto read = reader.take_table();
            CHECK(read == table);
            CHECK(read.bytes() == table.bytes());
        }
        SessionTableReader reader;
        const auto longer = text + "store";
        std::string_view all = longer;
        CHECK(reader.feed(all) == "");
        CHECK(reader.take_rest() == "store");
    }

    TEST_CASE("S8: a session table that is malformed or cut off is refused or never complete") {
        const auto fault = [](std::string_view text) {
            SessionTableReader reader;
            auto wrong = feed(reader, text, 5);
            return wrong.empty() && reader.complete() ? "complete" : wrong;
        };
        CHECK(fault("no length in so many bytes") == "the snapshot does not begin with a length");
        CHECK(fault("99999999999999999999999 ") == "the snapshot does not begin with a length");
        for (auto text : {"4 9 9  ", "3 0  ", "10 1 1 2 0 0 x", "11 1 1 2 0 0  1", "9 1 1 x 0 0 ",
                          "23 1 1 2 0 1 5 1 9 200 xy  ", "28 1 1 2 0 2 5 1 9 0  5 1 9 0  "})
            CHECK(fault(text) != "complete");
        CHECK(fault("10 1 1 2 0 0  ") == "complete");
    }

    TEST_CASE("C6: the bytes of all results are known however they come and go") {
        SessionTable table;
        std::mt19937 random{3};
        for (int step = 0; step < 3000; ++step) {
            const SessionId id{1, random() % 8};
            if (!table.find(id)) table.open(id, Time{});
            auto& session = *table.find(id);
            const auto seq = session.low + random() % 600;
            if (random() % 40 == 0)
                table.close(id);
            else if (random() % 6 == 0)
                table.raise_low(session, session.low + random() % 40);
            else if (!session.results.find(seq))
                table.record(session, {seq, {1, 7}, std::string(random() % 200, 'z')});
            std::size_t sum = 0;
            for (const auto& [name, one] : table.all())
                one.results->each([&](const auto& result) { sum += result.bytes(); });
            REQUIRE(table.bytes() == sum);
        }
        const auto& results = *table.all().front().session.results;
        CHECK(results.bytes_below(~Sequence{0}) == results.bytes());
    }
}
