// The JSON scanner against a list of texts, against nlohmann's parser on mutated texts, and against texts made to
// exhaust it.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <understudy/wire/hex.hpp>
#include <understudy/wire/scan.hpp>
#include <understudy/wire/utf8.hpp>

using namespace understudy::wire;
using namespace std::string_view_literals;

TEST_SUITE("scan") {
    namespace {
    bool accepts(std::string_view text) { return check_json(text).empty(); }

    bool holds_a_number_beyond_doubles(const std::string& text) {
        try {
            return nlohmann::json::parse(text).is_discarded();
        } catch (const nlohmann::json::out_of_range&) {
            return true;
        } catch (const nlohmann::json::exception&) {
            return false;
        }
    }

    constexpr std::string_view valid[] = {"0"sv,
                                          "-0"sv,
                                          "12"sv,
                                          "-1.5"sv,
                                          "1e5"sv,
                                          "1E+5"sv,
                                          "1.25e-7"sv,
                                          "123456789012345678901234567890"sv,
                                          "true"sv,
                                          "false"sv,
                                          "null"sv,
                                          "\"\""sv,
                                          " \t\r\n1 \t\r\n"sv,
                                          "[]"sv,
                                          "[ ]"sv,
                                          "{}"sv,
                                          "{ }"sv,
                                          "[1,2,3]"sv,
                                          "[[],{},\"\"]"sv,
                                          "{\"a\":1}"sv,
                                          "{ \"a\" : { \"b\" : [ null , true ] } , \"c\" : -1 }"sv,
                                          "{\"\":0}"sv,
                                          "{\"a\":1,\"a\":2}"sv,
                                          "\"plain text that is longer than eight bytes\""sv,
                                          "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""sv,
                                          "\"\\u0000\""sv,
                                          "\"\\u00e9\\u20AC\""sv,
                                          "\"\\ud83d\\ude00\""sv,
                                          "\"\\uDBFF\\uDFFF\""sv,
                                          "\"\x7F\""sv,
                                          "\"\xC3\xA9\""sv,
                                          "\"\xE2\x82\xAC\""sv,
                                          "\"\xF0\x9F\x98\x80\""sv,
                                          "\"\xF4\x8F\xBF\xBF\""sv,
                                          "\"\xED\x9F\xBF\xEE\x80\x80\""sv,
                                          "\"\\uFFFF\""sv};

    constexpr std::string_view invalid[] = {""sv,
                                            " "sv,
                                            "-"sv,
                                            "01"sv,
                                            "-01"sv,
                                            "1."sv,
                                            ".5"sv,
                                            "+1"sv,
                                            "1e"sv,
                                            "1e+"sv,
                                            "0x10"sv,
                                            "1 2"sv,
                                            "NaN"sv,
                                            "Infinity"sv,
                                            "nul"sv,
                                            "nulll"sv,
                                            "True"sv,
                                            "tru"sv,
                                            "["sv,
                                            "]"sv,
                                            "[1"sv,
                                            "[1,"sv,
                                            "[1,]"sv,
                                            "[,1]"sv,
                                            "[1 2]"sv,
                                            "[1}"sv,
                                            "{"sv,
                                            "}"sv,
                                            "{]"sv,
                                            "{\"a\"}"sv,
                                            "{\"a\":}"sv,
                                            "{\"a\":1,}"sv,
                                            "{,}"sv,
                                            "{a:1}"sv,
                                            "{1:1}"sv,
                                            "{\"a\" 1}"sv,
                                            "{\"a\":1 \"b\":2}"sv,
                                            "{'a':1}"sv,
                                            "[1]]"sv,
                                            "{}}"sv,
                                            "\""sv,
                                            "\"abc"sv,
                                            "\"\\\""sv,
                                            "\"\\x\""sv,
                                            "\"\\u12\""sv,
                                            "\"\\u12G4\""sv,
                                            "\"\\uD800\""sv,
                                            "\"\\uD800\\n\""sv,
                                            "\"\\uD800\\uD800\""sv,
                                            "\"\\uDC00\""sv,
                                            "\"\\uD800x\""sv,
                                            "\"a\nb\""sv,
                                            "\"\x01\""sv,
                                            "\"\x1F\""sv,
                                            "\"\0\""sv,
                                            "\"a\tb\""sv,
                                            "\"\x80\""sv,
                                            "\"\xC3\""sv,
                                            "\"\xC0\xAF\""sv,
                                            "\"\xC1\xBF\""sv,
                                            "\"\xE0\x9F\xBF\""sv,
                                            "\"\xED\xA0\x80\""sv,
                                            "\"\xF0\x8F\xBF\xBF\""sv,
                                            "\"\xF4\x90\x80\x80\""sv,
                                            "\"\xF5\x80\x80\x80\""sv,
                                            "\"\xFF\""sv,
                                            "\"\xE2\x82\""sv,
                                            "\"\xE2\x82"sv,
                                            "\xEF\xBB\xBF{}"sv,
                                            "// c\n1"sv,
                                            "[1]/**/"sv,
                                            "\v1"sv,
                                            "1\0"sv,
                                            "\0"sv,
                                            "[\"\\\0\"]"sv};

    std::string nested(std::size_t depth, std::string_view open, std::string_view inside, std::string_view close) {
        std::string text;
        for (std::size_t i = 0; i < depth; ++i) text += open;
        text += inside;
        for (std::size_t i = 0; i < depth; ++i) text += close;
        return text;
    }
    }  // namespace

    TEST_CASE("JSON texts are accepted") {
        for (const auto text : valid) {
            CAPTURE(text);
            CHECK(check_json(text) == "");
            CHECK(nlohmann::json::accept(text));
        }
    }

    TEST_CASE("texts that are no JSON are refused with the offset and what was expected") {
        for (const auto text : invalid) {
            CAPTURE(text);
            CHECK(check_json(text).starts_with("offset "));
        }
        CHECK(check_json("[1,]") == "offset 3: expected a value, found ']'");
        CHECK(check_json("{\"a\" 1}") == "offset 5: expected ':', found '1'");
        CHECK(check_json("[1") == "offset 2: expected ',' or ']', found the end");
        CHECK(check_json("\"\xFF\"") == "offset 1: expected well-formed UTF-8, found byte 0xff");
        CHECK(check_json("{} x") == "offset 3: expected nothing after the value, found 'x'");
        CHECK(check_json("\"a\nb\"") ==
              "offset 2: expected an escape in place of a control character, found byte 0x0a");
    }

    TEST_CASE("the scanner and another parser agree on mutated texts") {
        std::mt19937 random{20240607};
        const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
        constexpr std::string_view alphabet =
            "{}[]\",:\\ue0123456789.+-E tfnrls\n\xC3\xA9\xED\xA0\xF0\x9F\x98\x80\x01 abD8C";
        std::vector<std::string_view> seeds{std::begin(valid), std::end(valid)};
        seeds.insert(seeds.end(), std::begin(invalid), std::end(invalid));
        std::size_t accepted = 0;
        for (int round = 0; round < 200'000; ++round) {
            std::string text{seeds[below(seeds.size())]};
            if (below(2)) text.insert(below(text.size() + 1), seeds[below(seeds.size())]);
            for (auto changes = below(4); changes > 0; --changes) {
                const char byte = alphabet[below(alphabet.size())];
                const auto at = below(text.size() + 1);
                if (const auto kind = below(3); kind == 0 || at == text.size())
                    text.insert(at, 1, byte);
                else if (kind == 1)
                    text[at] = byte;
                else
                    text.erase(at, 1 + below(3));
            }
            // nlohmann takes a NUL for the end of the text, skips a byte order mark, and refuses numbers that no double
            // can hold.
            if (text.find('\0') != text.npos || text.starts_with("\xEF\xBB\xBF")) continue;
            const bool ours = accepts(text), theirs = nlohmann::json::accept(text);
            if (ours && !theirs && holds_a_number_beyond_doubles(text)) continue;
            CAPTURE(text);
            REQUIRE(ours == theirs);
            accepted += ours;
        }
        CHECK(accepted > 10'000);  // otherwise the comparison would prove little
    }

    TEST_CASE("strings mean what another parser says they mean") {
        for (const auto text : valid) {
            if (text.front() != '"') continue;
            CAPTURE(text);
            Scanner scan{text};
            std::string meaning;
            REQUIRE(scan.string(meaning));
            CHECK(meaning == nlohmann::json::parse(text).get<std::string>());
        }
    }

    TEST_CASE("every string that is written is read back and any other parser reads it too") {
        std::mt19937 random{7};
        for (int round = 0; round < 20'000; ++round) {
            std::string text;
            for (auto length = random() % 20; length > 0; --length) {
                constexpr std::uint32_t limits[] = {0x20, 0x80, 0x800, 0x110000};
                auto code = random() % limits[random() % 4];
                if (code >= 0xD800 && code < 0xE000) code = '"';
                append_utf8(text, static_cast<std::uint32_t>(code));
            }
            std::string json;
            REQUIRE(append_string(json, text));
            Scanner scan{json};
            std::string back;
            REQUIRE(scan.string(back));
            REQUIRE(scan.end());
            REQUIRE(back == text);
            REQUIRE(nlohmann::json::parse(json).get<std::string>() == text);
        }
    }

    TEST_CASE("every byte is plain or found as the grammar says") {
        for (int byte = 0; byte < 256; ++byte) {
            const bool plain = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
            for (std::size_t length : {1u, 8u, 16u, 64u, 100u, 1000u}) {
                const std::string text(length, static_cast<char>(byte));
                REQUIRE(skip_plain(text.data(), text.data() + length) == text.data() + (plain ? length : 0));
            }
        }
    }

    TEST_CASE("a character is found at every offset of the steps of 64 and sixteen and eight bytes") {
        for (std::size_t length = 0; length < 500; length += length < 40 ? 1 : 23)
            for (std::size_t at = 0; at < length; ++at)
                for (const char special : {'"', '\\', '\x1F', '\0', '\x80', '\xFF'}) {
                    std::string text(length, '~');
                    text[at] = special;
                    REQUIRE(skip_plain(text.data(), text.data() + length) == text.data() + at);
                }
    }

    TEST_CASE("what is plain is copied up to every offset") {
        for (std::size_t length = 0; length < 200; length += length < 70 ? 1 : 23)
            for (std::size_t at = 0; at <= length; ++at) {
                std::string text(length, '\0');
                for (std::size_t i = 0; i < length; ++i) text[i] = static_cast<char>('A' + i % 26);
                if (at < length) text[at] = '\n';
                std::string copy(length + 16, '?');
                const char* from = text.data();
                const char* const to = copy_plain(copy.data(), from, text.data() + length);
                REQUIRE(from == text.data() + at);
                REQUIRE(std::string_view{copy.data(), to} == std::string_view{text}.substr(0, at));
            }
    }

    TEST_CASE("a search looks at no byte behind the text") {
        for (std::size_t length = 0; length < 100; ++length) {
            const auto text = std::make_unique<char[]>(length);  // of exactly this size, for a sanitizer
            std::fill_n(text.get(), length, '~');
            const char* at = text.get();
            std::string copy(length + 16, '?');
            CHECK(skip_plain(at, text.get() + length) == text.get() + length);
            CHECK(copy_plain(copy.data(), at, text.get() + length) == copy.data() + length);
        }
    }

    TEST_CASE("hexadecimal digits are read as they are written") {
        const auto written = [](std::uint64_t value) {
            std::string digits(16, '?');
            write_hex(digits.data(), value);
            return digits;
        };
        CHECK(written(0) == "0000000000000000");
        CHECK(written(0x0123456789abcdef) == "0123456789abcdef");
        CHECK(written(~std::uint64_t{0}) == "ffffffffffffffff");
        std::mt19937_64 random{7};
        for (int i = 0; i < 1000; ++i) {
            const std::uint64_t value = random();
            std::uint64_t back = 0;
            REQUIRE(read_hex(written(value).data(), back));
            REQUIRE(back == value);
        }
    }

    TEST_CASE("every byte but a lower-case hexadecimal digit is refused at every place") {
        for (std::size_t at = 0; at < 16; ++at)
            for (int byte = 0; byte < 256; ++byte) {
                std::string digits = "0123456789abcdef";
                digits[at] = static_cast<char>(byte);
                const bool is_digit = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f');
                std::uint64_t value = 0;
                REQUIRE(read_hex(digits.data(), value) == is_digit);
            }
    }

    TEST_CASE("values nest to the limit and no deeper") {
        const auto limit = static_cast<std::size_t>(Scanner::max_depth);
        CHECK(accepts(nested(limit, "[", "", "]")));
        CHECK(accepts(nested(limit, "{\"a\":", "1", "}")));
        CHECK(accepts(nested(limit / 2, "[{\"a\":", "1", "}]")));
        CHECK(check_json(nested(limit + 1, "[", "", "]")) ==
              "offset 64: expected at most 64 levels of nesting, found '['");
        CHECK(!accepts(nested(limit + 1, "{\"a\":", "1", "}")));
    }

    TEST_CASE("JSON bombs are refused without recursion") {
        CHECK(!accepts(std::string(10'000'000, '[')));
        CHECK(!accepts(nested(1'000'000, "{\"a\":", "1", "}")));
        CHECK(accepts("[" + nested(1'000'000, "[],", "[]", "") + "]"));
        CHECK(accepts(std::string(1'000'000, '9')));
        CHECK(!accepts("\"" + std::string(1'000'000, '\\')));
    }

    TEST_CASE("members and elements are handed out as the text that they are") {
        Scanner scan{R"( { "a" : [1, {"x":2}] , "\u0062":"q" ,"c":{ } } )"};
        std::vector<std::string> seen;
        REQUIRE(scan.members([&](std::string_view name) {
            seen.emplace_back(name);
            seen.emplace_back(scan.value());
            return scan.ok();
        }));
        CHECK(scan.end());
        CHECK(seen == std::vector<std::string>{"a", "[1, {\"x\":2}]", "b", "\"q\"", "c", "{ }"});

        Scanner list{"[ 1 ,\"two\", [3] ]"};
        seen.clear();
        REQUIRE(list.elements([&] { return seen.emplace_back(list.value()), list.ok(); }));
        CHECK(seen == std::vector<std::string>{"1", "\"two\"", "[3]"});
    }
}
