// Byte strings in JSON, in both of their forms and with both decoders.
#include <random>
#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <understudy/wire/bytes.hpp>
#include <understudy/wire/bytes_json.hpp>

using namespace understudy::wire;

TEST_SUITE("bytes") {
    TEST_CASE("base64 is that of RFC 4648") {
        const std::pair<std::string, std::string> vectors[] = {{"", ""},
                                                               {"f", "Zg=="},
                                                               {"fo", "Zm8="},
                                                               {"foo", "Zm9v"},
                                                               {"foob", "Zm9vYg=="},
                                                               {"fooba", "Zm9vYmE="},
                                                               {"foobar", "Zm9vYmFy"}};
        for (const auto& [bytes, text] : vectors) {
            std::string out;
            append_base64(out, bytes);
            CHECK(out == text);
            CHECK(decode_base64(text) == bytes);
        }
    }

    TEST_CASE("base64 that is not strict is refused") {
        for (const auto* text : {"Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", " Zg==", "Zg==\n",
                                 "Zm9v\n", "Zm-_", "Z\xFFm8"})
            CHECK_MESSAGE(!decode_base64(text), text);
    }

    TEST_CASE("text is a string and other bytes are base64") {
        CHECK(encode_bytes("caf\xC3\xA9 \"x\"\n") == "\"caf\xC3\xA9 \\\"x\\\"\\n\"");
        CHECK(encode_bytes(std::string_view{"a\0b", 3}) == "\"a\\u0000b\"");
        CHECK(encode_bytes("\xFF\xFE") == R"({"b64":"//4="})");
        CHECK(encode_bytes("plain and then \xC3") == R"({"b64":"cGxhaW4gYW5kIHRoZW4gww=="})");
    }

    TEST_CASE("bytes whose escapes would be longer than base64 travel as base64") {
        const auto encoded = [](std::string_view bytes) {
            std::string out = "before";
            encode_bulk(out, bytes);
            return out.substr(6);
        };
        CHECK(encoded("plain") == R"("plain")");
        CHECK(encoded("\xFF\xFE") == R"({"b64":"//4="})");
        CHECK(encoded(std::string(2, '\0')) == R"("\u0000\u0000")");
        for (const char byte : {'\0', '"', '\\', '\n'}) {
            const std::string bytes(1000, byte);
            CHECK(encoded(bytes).size() == base64_size(1000) + 10);
            CHECK(decode_bytes(encoded(bytes)) == bytes);
        }
    }

    TEST_CASE("a text that is cut in the middle of a character survives its pieces") {
        const std::string text = "\xF0\x9F\x98\x80 caf\xC3\xA9 \xE2\x82\xAC";
        for (std::size_t cut = 0; cut <= text.size(); ++cut) {
            const auto head = decode_bytes(encode_bytes(text.substr(0, cut)));
            const auto tail = decode_bytes(encode_bytes(text.substr(cut)));
            REQUIRE(head);
            REQUIRE(tail);
            CHECK(*head + *tail == text);
        }
    }

    TEST_CASE("any bytes come back over raw text and over nlohmann") {
        std::mt19937 random{11};
        for (int round = 0; round < 5'000; ++round) {
            std::string bytes;
            const bool binary = random() % 2;
            for (auto length = random() % 40; length > 0; --length)
                bytes.push_back(static_cast<char>(random() % (binary ? 256 : 128)));
            const auto text = encode_bytes(bytes);
            REQUIRE(decode_bytes(text) == bytes);
            const auto value = nlohmann::json::parse(text);
            REQUIRE(value == bytes_to_json(bytes));
            REQUIRE(bytes_from_json(value) == bytes);
        }
    }

    TEST_CASE("a long text comes back wherever in it characters need a closer look") {
        constexpr std::size_t edges[] = {0, 1, 1023, 1024, 1025, 16'383, 16'384, 16'385, 17'408, 40'000, 65'535};
        for (const std::size_t size : {1024u, 1025u, 16'385u, 65'536u})
            for (const auto at : edges)
                for (const std::string_view special : {"\"", "\n", "\x01", "\xC3\xA9", "\xE2\x82\xAC"}) {
                    if (at + special.size() > size) continue;
                    std::string text(size, 'x');
                    text.replace(at, special.size(), special);
                    std::string json = "before";
                    encode_bytes(json, text);
                    REQUIRE(json.starts_with("before\""));
                    REQUIRE(decode_bytes(std::string_view{json}.substr(6)) == text);
                    REQUIRE(nlohmann::json::parse(json.substr(6)).get<std::string>() == text);
                    text[at] = '\xFF';  // no UTF-8
                    REQUIRE(decode_bytes(encode_bytes(text)) == text);
                }
    }

    TEST_CASE("what is no byte string is refused in both ways of reading") {
        for (const auto* text : {"1", "null", "[]", "{}", R"({"b64":1})", R"({"b64":"Zg"})", R"({"b65":"Zg=="})",
                                 R"({"b64":"Zg==","x":1})", R"({"b64":{"b64":"Zg=="}})"}) {
            CHECK_MESSAGE(!decode_bytes(text), text);
            CHECK_MESSAGE(!bytes_from_json(nlohmann::json::parse(text)), text);
        }
        CHECK(!decode_bytes("\"a\" 1"));
        CHECK(!decode_bytes("\"a"));
        CHECK(!decode_bytes(R"({"b64":"","b64":""})"));
    }
}
