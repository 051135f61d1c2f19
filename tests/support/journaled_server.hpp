// A primary without backups, driven by hand (hand_driver.hpp), whose journal is on a simulated disk: what it answered
// before a power cut must be there after the restart.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include <understudy/journal/replica_files.hpp>
#include <understudy/replica/state_machine.hpp>
#include <understudy/sim/disk/disk.hpp>

#include "hand_driver.hpp"
#include "list_store.hpp"

namespace understudy::test {

using namespace protocol;
using namespace replica;

class JournaledServer {
public:
    using Machine = ReplicaStateMachine<ListStore>;
    using Files = journal::ReplicaFiles<sim::Disk>;

    /// Uses the options of a small journal, or those given.
    explicit JournaledServer(sim::Storage& storage) : JournaledServer{storage, small()} {
        options_.log_bytes = 300;
        options_.journal_bytes = 1500;
        options_.chunk_bytes = 64;
    }
    JournaledServer(sim::Storage& storage, journal::FrameLogOptions files) : storage_{storage}, file_options_{files} {}

    /// Starts an incarnation, which leads a view of its own. Throws what the journal throws.
    void start() {
        end();
        expected_ = heard_;
        files_ = std::make_unique<Files>(sim::Disk{storage_}, ++incarnations_ * 7919, file_options_);
        Recovery<ListStore> reader{ListStore{}, options_.log_bytes};
        files_->read(reader);
        machine_.emplace(std::move(reader).finish(), options_, "a", Incarnation{incarnations_}, now_, true);
        turn();
        enter({++view_, {"a", Incarnation{incarnations_}, false}, {}, 0});
    }
    void end() {
        machine_.reset();
        files_.reset();
    }

    /// Returns whether the command was answered. Throws when the disk fails.
    bool put(const std::string& command) {
        answered_ = false;
        give({"client", "1", Execute{ClusterId{5}, "main", {}, 0, 0, command}});
        return answered_;
    }
    void checkpoint() { files_->checkpoint(); }
    /// An operator forces a view without this server: the whole state of the server becomes void. Throws as `put` does.
    void lose_to_forced_view() {
        const auto number = ++view_;
        enter({number, {"b", Incarnation{1}, false}, {}, number});
    }
    /// The newest view so far.
    ViewNumber view() const { return view_; }
    const std::string& all() const { return machine_->store().all; }
    /// Whether this incarnation reports that it continues the last one whose ping was received.
    bool continues() const { return expected_ == 0 || std::ranges::count(recovered_, Incarnation{expected_}) == 1; }
    Machine& machine() { return *machine_; }
    int snapshots() const { return snapshots_; }

private:
    static journal::FrameLogOptions small() { return {.segment_bytes = 2048, .buffer_bytes = 256, .grow_bytes = 1024}; }

    void enter(const View& view) { give({"views", {}, ViewChanged{{"main", ClusterId{5}, 100ms, view}}}); }
    void give(Envelope envelope) {
        arrive(*machine_, std::move(envelope), now_, output_);
        turn();
    }
    void turn() {
        for (bool again = true; again;) {
            take_turn(*machine_, now_, output_);
            auto done = std::exchange(output_, {});
            for (const auto& sent : done.outbox) {
                answered_ = answered_ || std::holds_alternative<ExecuteResult>(sent.message);
                const auto* ping = std::get_if<Ping>(&sent.message);
                if (!ping) continue;
                // from the first ping: no view was received yet
                if (heard_ != incarnations_) recovered_ = ping->recovered;
                heard_ = incarnations_;
            }
            again = done.journal.has_value();
            if (!again) continue;
            for (const auto& piece : done.journal->pieces) snapshots_ += piece.last;
            const auto number = done.journal->number;
            files_->write(journal::make_pending(*done.journal, machine_->state().log));
            files_->sync();
            machine_->persisted(number);
            now_ += 1ms;
        }
    }

    sim::Storage& storage_;
    journal::FrameLogOptions file_options_;
    ReplicaOptions options_{.view_service = {"views"}};
    std::unique_ptr<Files> files_;
    std::optional<Machine> machine_;
    replica::Output output_;
    Time now_{std::chrono::seconds{1}};
    std::uint64_t incarnations_ = 0;
    std::uint64_t heard_ = 0;     // the last incarnation that pinged
    std::uint64_t expected_ = 0;  // the one before the present incarnation
    ViewNumber view_ = 0;
    bool answered_ = false;
    int snapshots_ = 0;
    std::vector<Incarnation> recovered_;
};

}  // namespace understudy::test
