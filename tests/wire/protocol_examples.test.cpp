// docs/protocol.md against the code: every example is decoded and encoded again, and the page lists every method and
// error.
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <understudy/kv_store.hpp>
#include <understudy/wire/json.hpp>
#include <understudy/wire/methods.hpp>

using namespace understudy;
using namespace understudy::protocol;
using nlohmann::json;

TEST_SUITE("protocol_examples") {
    namespace {
    struct Page {
        std::string text;
        std::map<std::string, std::vector<std::string>>
            blocks;  // by the text that follows the fence: `json`, `json command`, ...
    };

    Page read_page() {
        std::ifstream file{UNDERSTUDY_SOURCE_DIR "/docs/protocol.md"};
        Page page;
        std::string fence, block;
        for (std::string line; std::getline(file, line);) {
            page.text += line + "\n";
            if (!line.starts_with("```")) {
                if (!fence.empty()) block += line + "\n";
            } else if (fence.empty()) {
                fence = line.substr(3);
            } else {
                page.blocks[std::exchange(fence, {})].push_back(std::exchange(block, {}));
            }
        }
        REQUIRE_MESSAGE(fence.empty(), "a block of the page is not closed");
        return page;
    }
    const Page& page() {
        static const Page read = read_page();
        return read;
    }

    std::vector<std::string> lines_starting_with(std::string_view start) {
        std::vector<std::string> found;
        std::istringstream lines{page().text};
        for (std::string line; std::getline(lines, line);)
            if (line.starts_with(start)) found.push_back(line);
        return found;
    }

    std::vector<wire::Decoded> decoded_examples() {
        std::vector<wire::Decoded> examples;
        for (const auto& block : page().blocks.at("json")) {
            auto result = wire::decode(block);
            REQUIRE_MESSAGE(result.index() == 0, block << std::get<wire::DecodeError>(result).text);
            examples.push_back(std::get<wire::Decoded>(result));
        }
        return examples;
    }
    }  // namespace

    TEST_CASE("the page has blocks of every sort and no other") {
        std::set<std::string> sorts;
        for (const auto& [sort, blocks] : page().blocks) sorts.insert(sort);
        CHECK(sorts == std::set<std::string>{"json", "json command", "json query", "json reply"});
    }

    TEST_CASE("every example is read and written back with the same members") {
        for (const auto& block : page().blocks.at("json")) {
            CAPTURE(block);
            const auto result = wire::decode(block);
            REQUIRE_MESSAGE(result.index() == 0, std::get<wire::DecodeError>(result).text);
            const auto& example = std::get<wire::Decoded>(result);
            const auto text = wire::encode(example.id, example.message);
            auto expected = json::parse(block);
            // the only member that an example has although the encoder leaves it out
            if (expected.contains("result") && expected["result"].contains("view"))
                if (auto& view = expected["result"]["view"]; view.is_object() && view["viewnum"] == 0)
                    view.erase("primary");
            CHECK(json::parse(text) == expected);
            auto again = wire::decode(text);
            REQUIRE(again.index() == 0);
            CHECK(wire::encode(example.id, std::get<wire::Decoded>(again).message) == text);
        }
    }

    TEST_CASE("there is an example of every message") {
        std::set<std::size_t> kinds;
        std::set<std::string_view> methods;
        for (const auto& example : decoded_examples()) {
            kinds.insert(example.message.index());
            methods.insert(wire::method_of(example.message));
        }
        for (std::size_t kind = 0; kind < std::variant_size_v<Message>; ++kind)
            CHECK_MESSAGE(kinds.count(kind) == 1, "alternative " << kind << " of Message has no example");
        for (const auto method : understudy::detail::method_names)
            CHECK_MESSAGE((method.empty() || methods.count(method) == 1), method);
    }

    TEST_CASE("every method has its heading and no heading names another") {
        std::set<std::string> expected{"view.adopt"};  // reserved
        for (const auto method : understudy::detail::method_names)
            if (!method.empty() && method != to_string(Method::view_changed)) expected.emplace(method);
        std::set<std::string> found;
        for (const auto& line : lines_starting_with("### ")) {
            std::istringstream names{line.substr(4)};
            for (std::string name; names >> name;) found.insert(name.substr(0, name.find(',')));
        }
        CHECK(found == expected);
    }

    TEST_CASE("the table of errors is that of the code") {
        std::map<int, std::string> expected, found;
        for (const auto& row : understudy::detail::error_table)
            if (row.wire != 0) expected[row.wire] = row.name;
        for (const auto& line : lines_starting_with("| -3")) {
            std::istringstream row{line};
            std::string bar, name;
            int code = 0;
            row >> bar >> code >> bar >> name;
            CHECK_MESSAGE(found.count(code) == 0, line);
            found[code] = name.substr(1, name.size() - 2);  // without the backticks
        }
        CHECK(found == expected);
    }

    TEST_CASE("there is an example of every error and it is named as in the code") {
        std::set<int> found;
        for (const auto& block : page().blocks.at("json")) {
            const auto value = json::parse(block);
            if (!value.contains("error")) continue;
            const int code = value["error"]["code"];
            CHECK(value["error"]["data"]["name"] == to_string(from_wire_code(code)));
            found.insert(code);
        }
        for (const auto& row : understudy::detail::error_table)
            CHECK_MESSAGE((row.wire == 0 || found.count(row.wire) == 1), row.name);
    }

    TEST_CASE("every rule of the protocol stands on the page") {
        std::vector<std::string> machine;
        for (int i = 0; i <= 6; ++i) machine.push_back("R" + std::to_string(i));
        for (int i = 1; i <= 11; ++i) machine.push_back("S" + std::to_string(i));
        for (int i = 1; i <= 6; ++i) machine.push_back("C" + std::to_string(i));
        for (const auto& rule : machine) CHECK_MESSAGE(page().text.find("**" + rule + "**") != std::string::npos, rule);
    }

    TEST_CASE("the commands queries and values of the key/value store are read and written back") {
        std::set<std::size_t> commands, queries, replies;
        for (const auto& block : page().blocks.at("json command")) {
            const auto command = KvStore::decode_command(block);
            commands.insert(command.index());
            CHECK(json::parse(KvStore::encode_command(command)) == json::parse(block));
        }
        for (const auto& block : page().blocks.at("json query")) {
            const auto query = KvStore::decode_query(block);
            queries.insert(query.index());
            CHECK(json::parse(KvStore::encode_query(query)) == json::parse(block));
        }
        for (const auto& block : page().blocks.at("json reply")) {
            const auto reply = KvStore::decode_reply(block);
            replies.insert(reply.index());
            CHECK(json::parse(KvStore::encode(reply)) == json::parse(block));
        }
        CHECK(commands.size() == std::variant_size_v<kv::Command>);
        CHECK(queries.size() == std::variant_size_v<kv::Query>);
        CHECK(replies.size() == std::variant_size_v<kv::Reply>);
    }

    TEST_CASE("the examples show the commands that the store has") {
        for (const auto& example : decoded_examples()) {
            if (const auto* execute = std::get_if<Execute>(&example.message))
                CHECK_NOTHROW(KvStore::decode_command(execute->command));
            if (const auto* query = std::get_if<Query>(&example.message))
                CHECK_NOTHROW(KvStore::decode_query(query->query));
            if (const auto* append = std::get_if<Append>(&example.message))
                for (const auto& entry : append->entries)
                    if (entry.kind == EntryKind::command) CHECK_NOTHROW(KvStore::decode_command(entry.command));
        }
    }
}
