// The concept `Journal`: what a replica persists so that its state outlives the process (rule S9). Also `NoJournal`,
// which persists nothing, and `OptionalJournal`.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include <understudy/protocol/journal_batch.hpp>
#include <understudy/replica/journal_reader.hpp>
#include <understudy/replica/log.hpp>

namespace understudy {

/// A **Journal** persists what one server writes, and returns it to the next incarnation of that server. Laws:
///  - `read` passes to the reader everything that was ever reported as persisted, in order, and nothing that was not
///    written. The last writes may be missing if they were never reported as persisted. It calls `complete` at the end.
///    It may block. It is called once, before any other function. It throws `std::exception` with a human-readable text
///    if the content is damaged or has an unknown form;
///  - `start(progress)`: from now on the journal calls `progress` whenever `persisted` or `failure` has changed. The
///    call may come from any thread, but not from within a call of the journal. `progress` does not block, and may be
///    called as long as the journal exists;
///  - `write(batch, log)` accepts a batch, together with the entries of the log that it names, and does not wait.
///    Batches come in the order of their numbers, without gaps;
///  - `persisted()` is the number of the last batch that is persisted together with all batches before it. The
///    journal's policy decides what "persisted" means. `promises()` is true if it means stable storage, so that no
///    crash of the machine can undo it;
///  - `failure()` says why the journal can persist nothing more, or is empty. A failure is final, and `persisted` does
///    not change after it;
///  - optional: `waiting()`, a `std::string`, says which condition that may pass the journal waits for, or is empty.
///    The journal calls `progress` when this changes.
template <typename J>
concept Journal = std::movable<J> &&
                  requires(J journal, const J& fixed, replica::JournalReader& reader, protocol::JournalBatch& batch,
                           const replica::Log& log, std::function<void()> progress) {
                      journal.read(reader);
                      journal.start(progress);
                      journal.write(batch, log);
                      { fixed.persisted() } -> std::same_as<std::uint64_t>;
                      { fixed.promises() } -> std::same_as<bool>;
                      { fixed.failure() } -> std::same_as<std::string>;
                  };

/// For a server that has its state in memory only. After a restart it is empty (S9). The state machine runs without
/// journal.
struct NoJournal {
    void read(replica::JournalReader&) {}
    void start(const std::function<void()>&) {}
    void write(protocol::JournalBatch&, const replica::Log&) {}
    std::uint64_t persisted() const { return 0; }
    bool promises() const { return false; }
    std::string failure() const { return {}; }
};

/// A journal or none, for a host that decides at run time.
template <Journal J>
    requires(!std::same_as<J, NoJournal>)
class OptionalJournal {
public:
    OptionalJournal() = default;  ///< No journal, as with `NoJournal`.
    OptionalJournal(J journal) : journal_{std::move(journal)} {}

    bool has_value() const { return journal_.has_value(); }

    /// See `Journal`. Without a journal these functions do nothing.
    void read(replica::JournalReader& to) {
        if (journal_) journal_->read(to);
    }
    void start(std::function<void()> progress) {
        if (journal_) journal_->start(std::move(progress));
    }
    void write(protocol::JournalBatch& batch, const replica::Log& log) {
        if (journal_) journal_->write(batch, log);
    }
    std::uint64_t persisted() const { return journal_ ? journal_->persisted() : 0; }
    bool promises() const { return journal_ && journal_->promises(); }
    std::string failure() const { return journal_ ? journal_->failure() : std::string{}; }
    std::string waiting() const {
        if constexpr (requires(const J& one) { one.waiting(); })
            if (journal_) return journal_->waiting();
        return {};
    }

private:
    std::optional<J> journal_;
};

/// Whether there is a journal. If there is none, the state machine runs without any.
template <Journal J>
bool is_there(const J&) {
    return !std::same_as<J, NoJournal>;
}
template <Journal J>
bool is_there(const OptionalJournal<J>& journal) {
    return journal.has_value();
}

}  // namespace understudy
