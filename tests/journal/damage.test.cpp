// Damage that no crash can cause is reported, with the place and what to do; the remains of a crash are not reported as
// damage.
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <tests/support/journal_process.hpp>

using namespace understudy;
using namespace understudy::test;
using sim::Storage;

TEST_SUITE("damage") {
    namespace {

    constexpr auto first_segment = "log-0000000000000001.log";

    // A storage whose files a test may change at will between incarnations.
    struct Harness {
        Storage storage{};

        // Frames of 64 bytes, at offsets 64, 128 and so on, each synced by itself.
        void write(int frames, journal::FrameLogOptions options = {.grow_bytes = 0}) {
            Account account;
            JournalProcess process{storage, account, options};
            process.recover();
            for (int i = 0; i < frames; ++i) {
                process.append(10);
                process.sync();
            }
        }
        std::string content(const std::string& name = first_segment) const {
            return storage.files().at(name)->content();
        }
        void replace(const std::string& content, const std::string& name = first_segment) {
            sim::Disk disk{storage};
            if (storage.files().contains(name)) disk.remove(name);
            disk.create(name, 0).append(content);
        }
        void remove(const std::string& name) { sim::Disk{storage}.remove(name); }

        // Recovers; returns the number of frames, or throws the damage.
        std::size_t frames() { return recover(storage, {}).size(); }
        std::optional<journal::Damaged> damage() {
            try {
                frames();
            } catch (const journal::Damaged& found) {
                return found;
            }
            return std::nullopt;
        }
    };

    bool contains(const journal::Damaged& damage, std::string_view text) {
        return std::string_view{damage.what()}.find(text) != std::string_view::npos;
    }

    // The frame that would be at that offset, as the first incarnation of `Harness` writes it.
    std::string frame(std::uint64_t number, std::uint64_t synced, const std::string& payload, std::uint64_t offset) {
        std::string out;
        journal::append_frame(out, {journal::FrameKind::entry, 0, number, synced, 0}, payload, 0x5a17 + 1, offset);
        return out;
    }

    }  // namespace

    TEST_CASE("the text of a damage says where and what and what to do") {
        Harness harness;
        harness.write(3);
        harness.storage.corrupt(first_segment, 128 + 32, "X");
        const auto damage = harness.damage();
        REQUIRE(damage);
        CHECK(damage->file() == first_segment);
        CHECK(damage->offset() == 128);
        CHECK(std::string{damage->what()} ==
              "log-0000000000000001.log is damaged at offset 128: the payload of frame 2 has the checksum "
              "77dfc911, and 16450406 was expected; frame 3 at offset 192 says that it was on stable "
              "storage. Restore the directory from a backup; or, if another member in sync lives, remove "
              "the directory, and let this server join as a new one (docs/durability.md)");
    }

    TEST_CASE("a frame that was written whole and has a wrong checksum is damage even at the end") {
        Harness harness;
        harness.write(3);
        harness.storage.corrupt(first_segment, 192 + 32, "X");
        const auto damage = harness.damage();
        REQUIRE(damage);
        CHECK(contains(*damage, "frame 3"));
        CHECK(contains(*damage, "it was written completely"));
    }

    TEST_CASE("a header that is neither valid nor zero is damage even at the end") {
        Harness harness;
        harness.write(3);
        harness.storage.corrupt(first_segment, 192 + 9, "X");
        const auto damage = harness.damage();
        REQUIRE(damage);
        CHECK(damage->offset() == 192);
        CHECK(contains(*damage, "there is no valid header, where frame 3 was expected"));
    }

    TEST_CASE("a frame that ends with the file too soon is a torn tail") {
        for (std::size_t left = 0; left < 64; ++left) {
            CAPTURE(left);
            Harness harness;
            harness.write(3);
            harness.replace(harness.content().substr(0, 192 + left));
            CHECK(harness.frames() == 2);
        }
    }

    TEST_CASE("a frame that lacks a sector is a torn tail") {
        const auto payload = std::string(2000, 'x');
        for (std::size_t sector = 1; sector <= 4; ++sector) {
            CAPTURE(sector);
            Harness harness;
            harness.write(2);
            auto content = harness.content() + frame(3, 2, payload, 192);
            content.resize(4096);
            content.replace(sector * 512, 512, 512, '\0');
            harness.replace(content);
            CHECK(harness.frames() == 2);
        }
    }

    TEST_CASE("a frame that lacks less than a sector is damage") {
        Harness harness;
        harness.write(2);
        auto content = harness.content() + frame(3, 2, std::string(2000, 'x'), 192);
        content.replace(512, 511, 511, '\0');
        harness.replace(content);
        CHECK(harness.damage().has_value());
    }

    TEST_CASE("a zero header is a torn tail unless a later frame says that it was synced") {
        Harness harness;
        harness.write(2);
        const auto zeros = std::string(64, '\0');
        SUBCASE("no later frame") {
            harness.replace(harness.content() + zeros);
            CHECK(harness.frames() == 2);
        }
        SUBCASE("a later frame that knows nothing of it") {
            harness.replace(harness.content() + zeros + frame(4, 2, "later", 256));
            CHECK(harness.frames() == 2);
        }
        SUBCASE("a later frame that says so") {
            harness.replace(harness.content() + zeros + frame(4, 3, "later", 256));
            const auto damage = harness.damage();
            REQUIRE(damage);
            CHECK(damage->offset() == 192);
            CHECK(contains(*damage, "there are zeros, where frame 3 was expected; frame 4 at offset 256 says"));
        }
        SUBCASE("a later frame that says so and lacks its payload") {
            harness.replace(harness.content() + zeros + frame(4, 3, "later", 256).substr(0, 32));
            CHECK(harness.damage().has_value());
        }
    }

    TEST_CASE("a frame that a client has stored in a payload says nothing") {
        Harness harness;
        harness.write(2);
        // It follows the header of a frame that lacks a sector, so recovery searches the payload for later valid
        // frames.
        const auto torn = [&](const std::string& stored) {
            auto content = harness.content() + frame(3, 2, stored + std::string(3000, 'x'), 192);
            content.replace(1024, 512, 512, '\0');
            harness.replace(content);
        };
        SUBCASE("copied from another place") {
            torn(frame(9, 8, "forged", 64));
            CHECK(harness.frames() == 2);
        }
        SUBCASE("made for this place as nobody can who does not know the salt") {
            torn(frame(9, 8, "forged", 192 + 32));
            CHECK(harness.damage().has_value());
        }
    }

    TEST_CASE("a valid frame that cannot be the next one is damage") {
        Harness harness;
        harness.write(2);
        std::string found;
        SUBCASE("another number") {
            harness.replace(harness.content() + frame(5, 2, "gap", 192));
            found = "frame 5 stands there (synced 2)";
        }
        SUBCASE("synced before it was written") {
            harness.replace(harness.content() + frame(3, 3, "early", 192));
            found = "frame 3 stands there (synced 3)";
        }
        const auto damage = harness.damage();
        REQUIRE(damage);
        CHECK(contains(*damage, found + ", where frame 3 was expected"));
    }

    TEST_CASE("segments whose first numbers go down are damage") {
        Harness harness;
        harness.replace(journal::encode(journal::SegmentHeader{1, 1, 5}));
        harness.replace(journal::encode(journal::SegmentHeader{1, 2, 3}), "log-0000000000000002.log");
        const auto damage = harness.damage();
        REQUIRE(damage);
        CHECK(damage->file() == first_segment);
        CHECK(contains(*damage, "its frames begin with 5, and those of the next segment with 3"));
    }

    TEST_CASE("a segment that is missing between others is damage") {
        Harness harness;
        harness.write(20, {.segment_bytes = 400, .grow_bytes = 0});
        REQUIRE(harness.storage.files().size() > 3);
        harness.remove("log-0000000000000002.log");
        const auto damage = harness.damage();
        REQUIRE(damage);
        CHECK(damage->file() == first_segment);
        CHECK(contains(*damage, "the file ends, where frame 6 was expected; the next segment begins with frame 11"));
    }

    TEST_CASE("a segment that lost its end is damage if there is a next one") {
        Harness harness;
        harness.write(20, {.segment_bytes = 400, .grow_bytes = 0});
        harness.replace(harness.content().substr(0, 300));
        const auto damage = harness.damage();
        REQUIRE(damage);
        CHECK(damage->offset() == 256);
        CHECK(contains(*damage, "frame 4 has 64 bytes, but the file ends after 44"));
    }

    TEST_CASE("a segment without a valid header is damage") {
        Harness harness;
        harness.write(2);
        std::string expected;
        auto content = harness.content();
        SUBCASE("empty") { content.clear(), expected = "the file has 0 bytes, and a segment begins with a header of "; }
        SUBCASE("short") { content.resize(63), expected = "the file has 63 bytes"; }
        SUBCASE("zero") { content.assign(512, '\0'), expected = "the magic text of a segment is not there"; }
        SUBCASE("another magic text") { content[0] = 'U', expected = "the magic text of a segment is not there"; }
        SUBCASE("a wrong checksum") { content[30] = 'U', expected = "the segment's header has the checksum "; }
        harness.replace(content);
        const auto damage = harness.damage();
        REQUIRE(damage);
        CHECK(damage->offset() == 0);
        CHECK(contains(*damage, expected));
    }

    TEST_CASE("a segment's file under another name is damage") {
        Harness harness;
        harness.write(2);
        harness.replace(harness.content(), "log-0000000000000007.log");
        harness.remove(first_segment);
        const auto damage = harness.damage();
        REQUIRE(damage);
        CHECK(damage->file() == "log-0000000000000007.log");
        CHECK(contains(*damage, "this is the file of segment 1 under another name"));
    }

    TEST_CASE("another format version is refused with both versions") {
        Harness harness;
        harness.write(2);
        auto content = harness.content();
        content[16] = 2;
        journal::store(content.data() + 60, journal::crc32c({content.data(), 60}));
        harness.replace(content);
        CHECK_THROWS_WITH(harness.frames(),
                          "log-0000000000000001.log has format version 2, and this program reads version 1: start the "
                          "version of the program that wrote it");
    }

    TEST_CASE("a damaged log is not changed by the attempt to recover it") {
        Harness harness;
        harness.write(3);
        harness.replace("of a segment that was being begun", "log-0000000000000002.log.new");
        harness.storage.corrupt(first_segment, 128, "X");
        const auto before = harness.content();
        REQUIRE(harness.damage());
        CHECK(harness.content() == before);
        CHECK(harness.storage.files().size() == 2);
    }
}
