// The session table as text, written and read piece by piece. A snapshot begins with it. A table may be as large as a
// store, so neither end of a state transfer ever holds all of its text in memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/replica/session_table.hpp>
#include <understudy/replica/text_fields.hpp>

namespace understudy::replica {

/// Writes a table as it was when the writer was constructed; later changes of the table do not matter. Equal tables
/// give equal text.
///
/// The text is a length, then this content: the number of sessions; for each session its id (view and index), its low,
/// and the number of its results; for each result its number, its position (view and index), and its value. Numbers are
/// written by `put_number`; a value, and the content as a whole, have the form of `put_bytes` (text_fields.hpp).
class SessionTableWriter {
public:
    /// O(sessions): results are shared with the table and not copied (`SharedResults`).
    explicit SessionTableWriter(const SessionTable& table) {
        rows_.reserve(table.size());
        std::size_t size = digits(table.size()) + 1;
        for (const auto& [id, session] : table.all()) {
            const auto& results = *session.results;
            size += digits(id.view) + digits(id.index) + digits(session.low) + digits(results.size()) + 4 +
                    results.text_size();
            rows_.push_back({id, session.low, session.results});
        }
        put_number(part_, size);
        put_number(part_, rows_.size());
        left_ = digits(size) + 1 + size + 1;
    }

    /// How many bytes of the text are still to be read.
    std::size_t left() const { return left_; }
    /// The next 1 to `max` bytes of the text; empty at the end. `max` must not be 0.
    std::string read(std::size_t max) {
        std::string piece;
        piece.reserve(std::min(max, left_));
        while (piece.size() < max && left_ > 0) {
            const std::string_view from = used_ < part_.size() ? part_ : value_.text();
            const auto count = std::min(max - piece.size(), from.size() - used_);
            piece.append(from.substr(used_, count));
            used_ += count;
            left_ -= count;
            if (used_ == from.size()) go_on();
        }
        return piece;
    }

    friend bool operator==(const SessionTableWriter&, const SessionTableWriter&) = default;

private:
    struct Row {
        SessionId id;
        Sequence low = 0;
        SharedResults results;
        friend bool operator==(const Row&, const Row&) = default;
    };
    static constexpr std::size_t part_bytes = 4096;  // about the bytes of text that are made at once

    /// Makes the next piece available, after `part_` or `value_` was read to its end: a long value whose head was just
    /// written, or else more text in `part_`. A long value is read from where it is shared, and not copied into
    /// `part_`.
    void go_on() {
        used_ = 0;
        if (std::exchange(value_follows_, false)) {
            part_.clear();
            return;
        }
        const bool after_value = std::exchange(value_, {}).size() > 0;  // then the space behind it is due
        part_ = after_value ? " " : "";
        while (part_.size() < part_bytes && row_ < rows_.size() && !value_follows_) {
            if (results_left_ > 0)
                write(*rows_[row_].results->from(next_));
            else
                write_row();
        }
        if (row_ == rows_.size() && !value_follows_ && !std::exchange(ended_, true)) part_ += ' ';
    }
    /// Writes the head of the present session; or, if that and all results are written, goes to the next session.
    void write_row() {
        if (std::exchange(in_row_, false)) {
            rows_[row_++].results = {};  // not shared any more: the table can change these in place
            return;
        }
        const auto& row = rows_[row_];
        in_row_ = true;
        next_ = 0;
        results_left_ = row.results.size();
        for (auto number : {row.id.view, row.id.index, row.low, Sequence{row.results.size()}})
            put_number(part_, number);
    }
    /// Writes a result; of a long value only the head, and the value follows as the next piece.
    void write(const SessionResults::Result& result) {
        next_ = result.seq + 1;
        --results_left_;
        for (auto number : {result.seq, result.at.view, result.at.index, std::uint64_t{result.value.size()}})
            put_number(part_, number);
        if (result.value.shared()) {
            value_ = result.value;
            value_follows_ = true;
            return;
        }
        part_ += result.value.text();
        part_ += ' ';
    }

    std::vector<Row> rows_;
    std::size_t row_ = 0;
    bool in_row_ = false;           // the head of row `row_` was written
    Sequence next_ = 0;             // its results below this number were written
    std::size_t results_left_ = 0;  // how many of its results were not
    std::string part_;
    ResultText value_;
    bool value_follows_ = false;  // `part_` ends with the head of `value_`; if false, a `value_` is being read itself
    bool ended_ = false;          // the space that ends the text was written
    std::size_t used_ = 0;        // bytes already read of `part_`, or of `value_` once that is read
    std::size_t left_ = 0;        // of the whole text
};

/// Reads what `SessionTableWriter` wrote, in pieces that may be split anywhere. The text comes from another server, or
/// from disk, and is not trusted: every length is checked before it is used. At most one incomplete session head or
/// result, and the piece fed last, are kept as text.
class SessionTableReader {
public:
    /// Whether the whole table was read.
    bool complete() const { return stage_ == Stage::complete; }
    /// Takes all of `data` until the table is complete, and nothing after that. `take_rest` then gives the bytes that
    /// follow the table in its last piece. Returns an empty string, or human-readable text that says what is wrong.
    std::string feed(std::string_view& data) {
        if (complete()) return {};
        text_ += data;
        data = {};
        std::size_t used = 0;
        for (auto outcome = Outcome::taken; outcome == Outcome::taken && !complete();) {
            Fields fields{std::string_view{text_}.substr(used)};
            outcome = take(fields);
            if (outcome == Outcome::wrong)
                return stage_ == Stage::length ? "the snapshot does not begin with a length"
                                               : "the snapshot's session table cannot be read";
            if (outcome == Outcome::taken) used += fields.used;
        }
        text_.erase(0, used);
        return {};
    }
    /// Gives the bytes that followed the table in its last piece, once.
    std::string take_rest() { return std::exchange(text_, {}); }
    /// The table, once it is complete.
    SessionTable take_table() { return std::move(table_); }

    friend bool operator==(const SessionTableReader&, const SessionTableReader&) = default;

private:
    // The item that is read next: the length, the number of sessions, a session's head, a result, or the space at the
    // end.
    enum class Stage { length, sessions, session, result, end, complete };
    enum class Outcome { taken, too_short, wrong };
    static constexpr std::size_t longest_number = 20;

    // Reads numbers from the text that has arrived. A number counts only with the space behind it: without that, more
    // digits may be in the next piece.
    struct Fields {
        std::string_view text;
        std::size_t used = 0;
        Outcome outcome = Outcome::taken;

        std::uint64_t number() {
            if (outcome != Outcome::taken) return 0;
            const auto rest = text.substr(used, longest_number + 1);
            const auto space = rest.find(' ');
            if (space == rest.npos) {
                outcome = rest.size() > longest_number ? Outcome::wrong : Outcome::too_short;
                return 0;
            }
            FieldReader field{rest.substr(0, space + 1)};
            const auto value = field.number();
            if (!field.ok() || !field.rest().empty()) outcome = Outcome::wrong;
            used += space + 1;
            return value;
        }
    };

    /// Takes the next item of the text if all of it has arrived. Also checks that it does not exceed the length of the
    /// table, and that the table ends where its length says.
    Outcome take(Fields& fields) {
        const auto stage = stage_;
        const auto outcome = take_stage(fields);
        if (outcome != Outcome::taken || stage == Stage::length || stage == Stage::end) return outcome;
        if (fields.used > left_) return Outcome::wrong;
        left_ -= fields.used;
        if (results_ == 0) stage_ = sessions_ == 0 ? Stage::end : Stage::session;
        return stage_ == Stage::end && left_ != 0 ? Outcome::wrong : Outcome::taken;
    }
    Outcome take_stage(Fields& fields) {
        switch (stage_) {
            case Stage::length: left_ = fields.number(); break;
            case Stage::sessions: sessions_ = fields.number(); break;
            case Stage::session: return take_session(fields);
            case Stage::result: return take_result(fields);
            case Stage::end: return take_end(fields);
            case Stage::complete: break;
        }
        if (fields.outcome == Outcome::taken && stage_ == Stage::length) stage_ = Stage::sessions;
        return fields.outcome;
    }
    Outcome take_session(Fields& fields) {
        const auto view = fields.number(), index = fields.number(), low = fields.number(), results = fields.number();
        if (fields.outcome != Outcome::taken) return fields.outcome;
        const auto [place, fresh] = table_.sessions_.try_emplace({view, index});
        if (!fresh) return Outcome::wrong;  // a session that was listed before
        session_ = place->first;
        place->second.low = low;
        --sessions_;
        results_ = results;
        stage_ = Stage::result;
        return Outcome::taken;
    }
    Outcome take_result(Fields& fields) {
        const auto seq = fields.number(), view = fields.number(), index = fields.number(), size = fields.number();
        if (fields.outcome != Outcome::taken) return fields.outcome;
        if (size >= left_) return Outcome::wrong;  // before waiting for so many bytes: they are not in the table
        if (fields.text.size() - fields.used <= size) return Outcome::too_short;
        auto& session = table_.sessions_.at(session_);
        const auto value = fields.text.substr(fields.used, size);
        fields.used += size + 1;
        if (fields.text[fields.used - 1] != ' ' || session.results.find(seq)) return Outcome::wrong;
        table_.record(session, {seq, {view, index}, value});
        --results_;
        return Outcome::taken;
    }
    Outcome take_end(Fields& fields) {
        if (fields.text.empty()) return Outcome::too_short;
        fields.used = 1;
        stage_ = Stage::complete;
        return fields.text.front() == ' ' ? Outcome::taken : Outcome::wrong;
    }

    Stage stage_ = Stage::length;
    std::string text_;            // arrived and not read yet
    std::uint64_t left_ = 0;      // bytes of the table's content that are not read yet
    std::uint64_t sessions_ = 0;  // sessions whose head is not read yet
    std::uint64_t results_ = 0;   // results of `session_` that are not read yet
    SessionId session_;
    SessionTable table_;
};

// The text of `save` and `load` is the content alone, without the length before it and the space behind it.

inline std::string SessionTable::save() const {
    SessionTableWriter writer{*this};
    const auto text = writer.read(writer.left());
    return text.substr(text.find(' ') + 1, text.size() - text.find(' ') - 2);
}

inline std::optional<SessionTable> SessionTable::load(std::string_view text) {
    std::string whole;
    put_bytes(whole, text);
    SessionTableReader reader;
    std::string_view data = whole;
    if (!reader.feed(data).empty() || !reader.complete() || !reader.take_rest().empty()) return std::nullopt;
    return reader.take_table();
}

}  // namespace understudy::replica
