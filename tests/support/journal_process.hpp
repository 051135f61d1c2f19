// Processes that use a log on a simulated disk, and what the log must contain after they have ended.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <understudy/journal/frame_log.hpp>
#include <understudy/sim/disk/disk.hpp>

namespace understudy::test {

using Frames = std::map<std::uint64_t, std::string>;

/// What the user of a log knows about it.
struct Account {
    Frames appended{};                 ///< All frames that may be found.
    std::uint64_t flushed = 0;         ///< Frames up to this one have left the process.
    std::uint64_t synced = 0;          ///< Frames up to this one were reported to be on stable storage.
    std::uint64_t removed_before = 0;  ///< Frames with lower numbers may have been removed.

    /// What is wrong if a recovery finds these frames, of which all up to `least` must be there; empty if all is well.
    std::string complaint(const Frames& found, std::uint64_t least) const {
        for (const auto& [number, payload] : found)
            if (const auto known = appended.find(number); known == appended.end() || known->second != payload)
                return "frame " + std::to_string(number) + " was not appended so";
        for (const auto& [number, payload] : appended) {
            const bool needed = number >= removed_before && number <= least;
            const bool inside = !found.empty() && number >= found.begin()->first && number <= found.rbegin()->first;
            if ((needed || inside) && !found.contains(number)) return "frame " + std::to_string(number) + " is lost";
        }
        return {};
    }
    /// A new incarnation has recovered these frames.
    void recovered(const Frames& found) {
        appended = found;
        flushed = synced = found.empty() ? 0 : found.rbegin()->first;
    }
};

/// Segments so small that a few frames fill one.
inline journal::FrameLogOptions small_segments(std::size_t grow_bytes) {
    return {.segment_bytes = 1500, .max_frame = 4096, .buffer_bytes = 2048, .grow_bytes = grow_bytes};
}

/// One incarnation of a process. Records in an account what it does.
class JournalProcess {
public:
    JournalProcess(sim::Storage& storage, Account& account, journal::FrameLogOptions options)
        : disk_{storage}, log_{disk_, "log", 0x5a17 + storage.generation(), options}, account_{account} {}
    JournalProcess(const JournalProcess&) = delete;
    JournalProcess& operator=(const JournalProcess&) = delete;

    Frames recover() {
        Frames found;
        log_.recover([&](std::uint64_t number, std::string_view payload) { found.emplace(number, payload); });
        return found;
    }
    void append(std::size_t size) {
        const auto number = log_.last() + 1;
        auto payload = std::to_string(number) + ":";
        payload.resize(std::max(size, payload.size()), static_cast<char>('a' + number % 26));
        account_.appended[number] = payload;
        log_.append(payload);
    }
    void flush() {
        log_.flush();
        account_.flushed = log_.last();
    }
    void sync() {
        log_.sync();
        account_.flushed = account_.synced = log_.last();
    }
    void checkpoint() {
        log_.checkpoint();
        account_.flushed = account_.synced = log_.last();
    }
    void remove_before(std::uint64_t number) {
        account_.removed_before = std::max(account_.removed_before, number);
        log_.remove_before(number);
    }
    journal::FrameLog<sim::Disk>& log() { return log_; }

private:
    sim::Disk disk_;
    journal::FrameLog<sim::Disk> log_;
    Account& account_;
};

/// A mixed workload: frames within one sector and across several, groups of frames, full segments, a removal, marks.
inline void play(JournalProcess& process) {
    process.append(1);
    process.sync();
    process.append(40);
    process.append(700);
    process.sync();
    process.append(10);
    process.flush();
    process.append(100);
    process.sync();
    process.checkpoint();
    process.append(900);
    process.sync();
    process.append(600);
    process.append(500);
    process.flush();
    process.append(30);
    process.remove_before(process.log().segments().back().first - 1);
    process.append(5);
    process.checkpoint();
    process.append(33);
    process.append(520);
    process.flush();
    process.append(64);
    process.sync();
}

/// One incarnation from its start: recovery, then the script. Returns false if it ends early because the disk fails.
inline bool live(sim::Storage& storage, Account& account, journal::FrameLogOptions options) {
    try {
        JournalProcess process{storage, account, options};
        process.recover();
        play(process);
        return true;
    } catch (const std::system_error&) {
        return false;
    }
}

/// The frames that the next process recovers.
inline Frames recover(sim::Storage& storage, journal::FrameLogOptions options) {
    Account account;
    JournalProcess process{storage, account, options};
    return process.recover();
}

}  // namespace understudy::test
