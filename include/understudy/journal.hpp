// Where a replica keeps what must outlive its process (rule S9): the concept, and the journal that keeps nothing.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <string>

#include <asio/any_io_executor.hpp>

#include <understudy/core/journal_batch.hpp>
#include <understudy/core/log.hpp>
#include <understudy/core/recovery.hpp>

namespace understudy {

/// A **Journal** keeps what one server writes, and gives it back to the server's next life. Laws:
///  - `read` tells everything that was ever called persisted, in its order, and nothing that was not written; what was
///    written last and not called persisted may be missing. It may block, is called once and before anything else, and
///    throws `std::exception` with a text for people if what it finds is damaged, or of another form;
///  - `start(executor, progress)`: from now on `progress` is called on that executor when `persisted` or `failure`
///    has changed;
///  - `write(batch, log)` takes the batch, and the entries that it names from the log, and does not wait. Batches come
///    in the order of their numbers, without holes;
///  - `persisted()` is the number of a batch that is kept, with all before it. What "kept" means is the journal's
///    policy: `promises()` says that it is stable storage, so that no crash of the machine takes it back;
///  - `failure()`: why nothing more can be kept, or an empty text. It does not go away, and `persisted` stays.
template <typename J>
concept Journal = std::movable<J> && requires(J journal, const J& fixed, JournalReader& reader, JournalBatch& batch,
                                              const Log& log, asio::any_io_executor executor,
                                              std::function<void()> progress) {
    journal.read(reader);
    journal.start(executor, progress);
    journal.write(batch, log);
    { fixed.persisted() } -> std::same_as<std::uint64_t>;
    { fixed.promises() } -> std::same_as<bool>;
    { fixed.failure() } -> std::same_as<std::string>;
};

/// For a server whose state lives in memory alone: it comes back empty (S9). The rules do not know of it.
struct NoJournal {
    void read(JournalReader&) {}
    void start(const asio::any_io_executor&, const std::function<void()>&) {}
    void write(JournalBatch&, const Log&) {}
    std::uint64_t persisted() const { return 0; }
    bool promises() const { return false; }
    std::string failure() const { return {}; }
};

}  // namespace understudy
