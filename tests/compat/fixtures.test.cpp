// The present code reads the messages and files of the baseline's programs (tests/compat/fixtures, README.md there):
// messages, the journal of a server with a snapshot and two incarnations, and the record of a view service.
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <understudy/journal/posix_disk.hpp>
#include <understudy/journal/replica_files.hpp>
#include <understudy/journal/view_files.hpp>
#include <understudy/kv_store.hpp>
#include <understudy/wire/json.hpp>
#include <understudy/wire/typed_store.hpp>

#include "tests/support/temporary_folder.hpp"

using namespace understudy;
using namespace understudy::replica;

TEST_SUITE("fixtures") {
    namespace {
    const std::string fixtures = UNDERSTUDY_SOURCE_DIR "/tests/compat/fixtures/";

    struct Copy {
        explicit Copy(const std::string& name) : path{folder.file("data")} {
            std::filesystem::copy(fixtures + name, path);
        }
        test::TemporaryFolder folder;
        std::string path;
    };

    std::vector<std::string> lines() {
        std::ifstream file{fixtures + "wire.jsonl"};
        std::vector<std::string> all;
        for (std::string line; std::getline(file, line);) all.push_back(line);
        return all;
    }

    using Text = wire::TypedStore<KvStore>;

    Recovered<Text> recover(const std::string& path, std::uint64_t salt) {
        journal::ReplicaFiles<journal::PosixDisk> files{journal::PosixDisk{path}, salt};
        Recovery<Text> reader{Text{}, 1'000'000};
        files.read(reader);
        return std::move(reader).finish();
    }
    std::string get(const Recovered<Text>& from, const std::string& key) {
        return from.state.store.query(R"({"op":"get","key":")" + key + "\"}").text;
    }
    }  // namespace

    TEST_CASE("each message of the baseline is read and written back as it came") {
        const auto all = lines();
        CHECK(all.size() > 150);
        for (const auto& line : all) {
            CAPTURE(line);
            const auto decoded = wire::decode(line);
            REQUIRE(std::holds_alternative<wire::Decoded>(decoded));
            const auto& [id, message] = std::get<wire::Decoded>(decoded);
            auto came = nlohmann::json::parse(line);
            // null means absent
            if (line.find(R"("primary":null)") != line.npos) came["result"]["view"].erase("primary");
            CHECK(nlohmann::json::parse(wire::encode(id, message)) == came);
        }
    }

    TEST_CASE("a journal of the baseline gives the same state to one life after the other") {
        Copy copy{"pbd"};
        for (std::uint64_t life = 1; life <= 3; ++life) {
            CAPTURE(life);
            const auto found = recover(copy.path, life);
            CHECK(found.state.log.last() == Position{4, 72});
            CHECK(get(found, "key 3") == '"' + std::string(100, 'x') + '"');
            CHECK(get(found, "key 7") == "null");
            CHECK(get(found, "second") == "\"view\"");
            CHECK(found.hard_state.name == "unix:///tmp/fx/one");
            CHECK(found.hard_state.info.group == "main");
            CHECK(found.hard_state.info.view.number == 4);
            CHECK(found.hard_state.info.view.primary.name == "unix:///tmp/fx/two");
            CHECK(found.hard_state.incarnations == std::vector{Incarnation{0xd7fd4763067f842b}});
        }
    }

    TEST_CASE("a record of the baseline's view service is read by one life after the other") {
        Copy copy{"viewd"};
        for (std::uint64_t life = 1; life <= 3; ++life) {
            journal::ViewFiles<journal::PosixDisk> files{journal::PosixDisk{copy.path}, life};
            files.read();
            const auto stored = files.stored();
            REQUIRE(stored);
            REQUIRE(stored->record.groups.size() == 1);
            const auto& group = stored->record.groups[0];
            CHECK(group.info.view.number == 5);
            CHECK(group.info.view.primary == Member{"unix:///tmp/fx/one", Incarnation{0xd7fd4763067f842b}, false});
            CHECK(group.info.view.backups.empty());
            CHECK(group.incarnations.size() == 2);
            CHECK(files.compare_and_set(stored->version, {stored->record.cluster, stored->record.dead_after, {}, {}}));
        }
    }
}
