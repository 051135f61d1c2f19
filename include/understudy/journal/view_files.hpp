// A view service's record as the files of one directory: a log of the changes that each set made.
//
//     views-NUMBER.log      frames of JSON, in segments (frame_log.hpp), each with the version that it produces
//     lock                  locked while a process uses the directory
//
// A frame with `complete` set has the complete record and supersedes all frames before it. The first frame of each
// incarnation is of that kind, and so is a frame written when the log has grown too large. So a few segments are enough
// at any time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <understudy/journal/damaged.hpp>
#include <understudy/journal/disk.hpp>
#include <understudy/journal/frame_log.hpp>
#include <understudy/view_service/changes.hpp>
#include <understudy/view_service/record.hpp>
#include <understudy/view_store.hpp>
#include <understudy/wire/view_record.hpp>

namespace understudy::journal {

/// The payload of a frame: the changes of one set, or the complete record (`complete`).
struct ViewFrame {
    std::uint64_t version = 0;
    bool complete = false;
    view_service::ViewChanges changes;
};

void fields(auto& visit, wire::Like<ViewFrame> auto& frame) {
    visit.required("version", frame.version);
    visit.optional("whole", frame.complete);
    visit.required("set", frame.changes);
}

struct ViewFilesOptions {
    std::uint64_t small_bytes = 1u << 20;  ///< A log up to this size is not rewritten; also the size of a segment.
    /// A larger log is rewritten when it has more than this many times the size of the last frame with the full record.
    std::uint64_t growth = 4;
};

/// Writes a view service's record to a disk and reads it back. All calls block; one thread at a time. After the disk
/// has failed, every later call that writes throws the same exception again.
template <Disk D>
class ViewFiles {
public:
    /// `salt` is a random number, a new one for each incarnation.
    ViewFiles(D disk, std::uint64_t salt, ViewFilesOptions options = {})
        : options_{options},
          disk_{std::move(disk)},
          log_{disk_, "views", salt, {.segment_bytes = options.small_bytes,
                                      .max_frame = std::numeric_limits<std::uint32_t>::max(),  // a complete record
                                      .grow_bytes = 64u << 10}} {}
    ViewFiles(ViewFiles&&) = delete;

    /// Reads the files. Call it once, before everything else. Throws `std::runtime_error` if a file is in a state that
    /// no crash can cause, or is not the record of a view service; its text says what is wrong and what to do.
    void read() {
        try {
            log_.recover([this](std::uint64_t number, std::string_view payload) { take(number, payload); });
        } catch (const Damaged& damaged) {
            throw std::runtime_error{damaged.file() + " is damaged at offset " + std::to_string(damaged.offset()) +
                                     ": " + damaged.finding() + advice};
        }
        if (version_ == 0 && passed_over_ != 0) fail(passed_over_, "no frame has the complete record");
    }

    /// The record and its version; `nullopt` if nothing was ever set.
    std::optional<StoredViews> stored() const {
        if (version_ == 0) return std::nullopt;
        return StoredViews{version_, record_};
    }

    /// As `ViewStore::async_compare_and_set`: returns false, without effect, if `expected` is not the stored version.
    /// When it returns true, the change is on stable storage.
    bool compare_and_set(std::uint64_t expected, const view_service::ViewChanges& changes) {
        if (expected != version_) return false;
        const bool complete = !begun_ || is_large();
        std::string payload;
        wire::append_json(payload, ViewFrame{version_ + 1, complete, complete ? all_with(changes) : changes});
        const auto number = log_.append(payload);
        log_.sync();
        apply(record_, changes);
        ++version_;
        if (!complete) return true;
        begun_ = true;
        complete_bytes_ = payload.size();
        log_.remove_before(number);
        return true;
    }
    /// Writes a checkpoint mark: from then on, damage to any byte is detected. Call it when nothing more comes for a
    /// while.
    void checkpoint() { log_.checkpoint(); }

    std::uint64_t bytes() const { return log_.bytes(); }

private:
    static constexpr auto advice =
        ". Restore the directory from a backup only if no view was decided since. Else begin with an empty one, and "
        "adopt each group (docs/operations.md)";

    /// The complete record after these changes, expressed as changes to an empty record.
    view_service::ViewChanges all_with(const view_service::ViewChanges& changes) const {
        auto next = record_;
        apply(next, changes);
        return {next.cluster, next.dead_after, std::move(next.groups), {}, next.removed};
    }
    bool is_large() const {
        return log_.bytes() > options_.small_bytes && log_.bytes() > options_.growth * complete_bytes_;
    }

    /// Applies a recovered frame.
    void take(std::uint64_t number, std::string_view payload) {
        wire::Scanner scan{payload};
        wire::Reader in{scan};
        ViewFrame frame;
        if (!wire::read(in, frame) || !scan.end())
            fail(number, scan.ok() ? in.place + ": " + in.problem : scan.error());
        if (frame.complete) {
            record_ = {};
        } else if (version_ == 0) {
            passed_over_ = number;  // the frames that this one changes were removed; a complete frame must follow
            return;
        } else if (frame.version != version_ + 1) {
            fail(number, "version " + std::to_string(frame.version) + " follows version " + std::to_string(version_));
        }
        apply(record_, frame.changes);
        version_ = frame.version;
        if (frame.complete) complete_bytes_ = payload.size();
    }
    [[noreturn]] void fail(std::uint64_t number, const std::string& wrong) const {
        throw std::runtime_error{"frame " + std::to_string(number) + " of " + disk_.path("views-*.log") +
                                 " cannot be used: " + wrong + advice};
    }

    ViewFilesOptions options_;
    D disk_;
    FrameLog<D> log_;
    view_service::ViewRecord record_;
    std::uint64_t version_ = 0;
    std::uint64_t complete_bytes_ = 0;  // the size of the last frame with the complete record
    bool begun_ = false;             // this incarnation has written such a frame
    std::uint64_t passed_over_ = 0;  // the last frame that came before the first complete one
};

}  // namespace understudy::journal
