// The session table as text, written and read piece by piece: a table may be as large as a store, and neither end of a
// state transfer makes all of its text at once. A snapshot begins with it.
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

/// Writes a table as it was when this was made. The text is `put_bytes` of: the number of sessions; of each session its
/// id, its low, how many results it has, and these. Equal tables give equal text.
class SessionTableWriter {
public:
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

    /// Bytes that are still to be read.
    std::size_t left() const { return left_; }
    /// The next 1 to `max` bytes; none at the end.
    std::string read(std::size_t max) {
        std::string piece;
        piece.reserve(std::min(max, left_));
        while (piece.size() < max && left_ > 0) {
            const std::string& from = used_ < part_.size() ? part_ : value_.text();
            const auto count = std::min(max - piece.size(), from.size() - used_);
            piece.append(from, used_, count);
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
    static constexpr std::size_t usual_part = 4096;

    /// What comes next: the long value whose head was just written, or more text.
    void go_on() {
        used_ = 0;
        if (std::exchange(value_follows_, false)) {
            part_.clear();
            return;
        }
        const bool after_value = std::exchange(value_, {}).size() > 0;
        part_ = after_value ? " " : "";
        while (part_.size() < usual_part && row_ < rows_.size() && !value_follows_) {
            if (results_left_ > 0)
                write(*rows_[row_].results->from(next_));
            else
                write_row();
        }
        if (row_ == rows_.size() && !value_follows_ && !std::exchange(ended_, true)) part_ += ' ';
    }
    void write_row() {
        if (std::exchange(in_row_, false)) {
            rows_[row_++].results = {};  // what changes in the table from now on need not be copied
            return;
        }
        const auto& row = rows_[row_];
        in_row_ = true;
        next_ = 0;
        results_left_ = row.results.size();
        for (auto number : {row.id.view, row.id.index, row.low, Sequence{row.results.size()}})
            put_number(part_, number);
    }
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
    bool in_row_ = false;           // of this row the head was written,
    Sequence next_ = 0;             // and the results before that number:
    std::size_t results_left_ = 0;  // not so many
    std::string part_;
    ResultText value_;
    bool value_follows_ = false;  // `part_` is its head; else, where there is one, it is being written
    bool ended_ = false;
    std::size_t used_ = 0;  // of the part or the value
    std::size_t left_ = 0;
};

/// Reads what `SessionTableWriter` wrote, split anywhere.
class SessionTableReader {
public:
    bool complete() const { return stage_ == Stage::complete; }
    /// Takes from `data` what belongs to the table; returns what was wrong with it, or an empty string.
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
    /// What came after the table with its last piece.
    std::string take_rest() { return std::exchange(text_, {}); }
    SessionTable take_table() { return std::move(table_); }

    friend bool operator==(const SessionTableReader&, const SessionTableReader&) = default;

private:
    enum class Stage { length, sessions, session, result, end, complete };
    enum class Outcome { taken, too_short, wrong };
    static constexpr std::size_t longest_number = 20;

    // Reads numbers from what is there of the text.
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

    /// The next thing in the text, if all of it is there.
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
        if (!fresh) return Outcome::wrong;
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
        if (size >= left_) return Outcome::wrong;
        if (fields.text.size() - fields.used <= size) return Outcome::too_short;
        auto& session = table_.sessions_.at(session_);
        JsonText value{fields.text.substr(fields.used, size)};
        fields.used += size + 1;
        if (fields.text[fields.used - 1] != ' ' || session.results.find(seq)) return Outcome::wrong;
        table_.record(session, {seq, {view, index}, std::move(value)});
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
    std::string text_;            // that was not read yet
    std::uint64_t left_ = 0;      // bytes of the table that are still to come
    std::uint64_t sessions_ = 0;  // the same, of sessions,
    std::uint64_t results_ = 0;   // and of results of this one
    SessionId session_;
    SessionTable table_;
};

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
