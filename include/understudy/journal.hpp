// Where a replica keeps what must outlive its process (rule S9): the concept, and the journal that keeps nothing.
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

/// A **Journal** keeps what one server writes, and gives it back to the server's next life. Laws:
///  - `read` tells everything that was ever called persisted, in its order, and nothing that was not written; what was
///    written last and not called persisted may be missing. `whole` ends it. It may block, is called once and before
///    anything else, and throws `std::exception` with a text for people if what it finds is damaged or of another form;
///  - `start(progress)`: from now on `progress` is called when `persisted` or `failure` has changed, from any thread,
///    but not from within a call of the journal. It does not block, and may be called as long as the journal lives;
///  - `write(batch, log)` takes the batch, and the entries that it names from the log, and does not wait. Batches come
///    in the order of their numbers, without holes;
///  - `persisted()` is the number of a batch that is kept, with all before it. What "kept" means is the journal's
///    policy: `promises()` says that it is stable storage, so that no crash of the machine takes it back;
///  - `failure()`: why nothing more can be kept, or an empty text. It does not go away, and `persisted` stays;
///  - optional: `waiting()`, a `std::string`: what the journal waits for that may pass, or an empty text. `progress` is
///    called when it changes.
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

/// For a server whose state lives in memory alone: it comes back empty (S9). The rules do not know of it.
struct NoJournal {
    void read(replica::JournalReader&) {}
    void start(const std::function<void()>&) {}
    void write(protocol::JournalBatch&, const replica::Log&) {}
    std::uint64_t persisted() const { return 0; }
    bool promises() const { return false; }
    std::string failure() const { return {}; }
};

/// A journal, or none: for a host that decides when it starts.
template <Journal J>
    requires(!std::same_as<J, NoJournal>)
class OptionalJournal {
public:
    OptionalJournal() = default;  ///< As `NoJournal`.
    OptionalJournal(J journal) : journal_{std::move(journal)} {}

    bool has_value() const { return journal_.has_value(); }

    /// See `Journal`. Without one they do nothing.
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

/// Whether there is a journal at all, of which the rules know.
template <Journal J>
bool is_there(const J&) {
    return !std::same_as<J, NoJournal>;
}
template <Journal J>
bool is_there(const OptionalJournal<J>& journal) {
    return journal.has_value();
}

}  // namespace understudy
