// Flips every bit of every file of a log, one at a time: recovery must either find all frames or name the damaged file.
#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <string_view>

#include <tests/support/journal_process.hpp>
#include <understudy/journal/recovery.hpp>

using namespace understudy;
using namespace understudy::test;
using sim::Storage;

TEST_SUITE("bit rot") {
    namespace {

    // The payloads that were read, or the name of the damaged file.
    struct Reading {
        Frames frames{};
        std::string damaged{};
    };
    Reading read(Storage& storage) {
        Reading reading;
        sim::Disk disk{storage};
        auto visit = [&](std::uint64_t number, std::string_view payload) { reading.frames.emplace(number, payload); };
        try {
            journal::read_segments(disk, "log", visit);
        } catch (const journal::Damaged& damage) {
            reading.damaged = damage.file();
        }
        return reading;
    }

    // Two incarnations, the second with several segments.
    void fill(Storage& storage, std::size_t grow, bool checkpoint) {
        Account account;
        live(storage, account, small_segments(grow));
        JournalProcess process{storage, account, small_segments(grow)};
        process.recover();
        for (const auto size : {20u, 700u, 800u, 3u, 64u, 333u}) {
            process.append(size);
            process.sync();
        }
        if (checkpoint) process.checkpoint();
    }

    void turn(Storage& storage, const std::string& name, std::size_t offset, int bit) {
        const char turned = static_cast<char>(storage.files().at(name)->content()[offset] ^ (1 << bit));
        storage.corrupt(name, offset, {&turned, 1});
    }

    }  // namespace

    TEST_CASE("any single bit that turns is noticed or does not matter") {
        std::size_t grow = 0;
        bool checkpoint = false;
        SUBCASE("sealed") { checkpoint = true; }
        SUBCASE("not sealed") {}
        SUBCASE("sealed and grown ahead") { checkpoint = true, grow = 512; }
        SUBCASE("not sealed and grown ahead") { grow = 512; }
        Storage storage;
        fill(storage, grow, checkpoint);
        const auto whole = read(storage);
        REQUIRE(whole.damaged == "");
        REQUIRE(whole.frames.size() > 10);
        REQUIRE(storage.files().size() > 2);
        std::size_t noticed = 0;
        for (const auto& entry : storage.files())
            for (std::size_t offset = 0; offset < entry.second->content().size(); ++offset)
                for (int bit = 0; bit < 8; ++bit) {
                    const auto& name = entry.first;
                    turn(storage, name, offset, bit);
                    const auto reading = read(storage);
                    turn(storage, name, offset, bit);
                    if (reading.damaged.empty() && reading.frames == whole.frames) continue;
                    CAPTURE(name);
                    CAPTURE(offset);
                    CAPTURE(bit);
                    REQUIRE(reading.damaged == name);
                    ++noticed;
                }
        CHECK(noticed > 8 * 3000);
    }

    TEST_CASE("any sector that turns to zeros before the mark is noticed or does not matter") {
        Storage storage;
        fill(storage, 512, true);
        const auto whole = read(storage);
        for (const auto& entry : storage.files()) {
            const auto& name = entry.first;
            const auto content = entry.second->content();
            const bool has_the_mark = name == storage.files().rbegin()->first;
            const auto end = has_the_mark ? content.rfind("mark") / 512 * 512 : content.size();
            for (std::size_t offset = 0; offset < end; offset += 512) {
                CAPTURE(name);
                CAPTURE(offset);
                const auto sector = content.substr(offset, 512);
                storage.corrupt(name, offset, std::string(sector.size(), '\0'));
                const auto reading = read(storage);
                storage.corrupt(name, offset, sector);
                if (reading.damaged.empty())
                    REQUIRE(reading.frames == whole.frames);
                else
                    REQUIRE(reading.damaged == name);
            }
        }
    }
}
