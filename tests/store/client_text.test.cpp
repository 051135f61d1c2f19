// What a clerk writes and reads without the general encoder and decoder is what these write and read.
#include <doctest/doctest.h>

#include <random>
#include <string>
#include <string_view>

#include <understudy/kv/client_text.hpp>
#include <understudy/kv_store.hpp>

using namespace understudy;

TEST_SUITE("client_text") {
    namespace {

    // Of any length, and of plain text, of text with escapes or of any bytes.
    std::string any_bytes(std::mt19937& random) {
        const auto size = random() % (random() % 4 == 0 ? 5000 : 200);
        const auto kind = random() % 3;
        std::string bytes;
        while (bytes.size() < size)
            bytes += static_cast<char>(kind == 0 ? 'a' + random() % 26 : kind == 1 ? 1 + random() % 126 : random());
        return bytes;
    }
    std::string text_of(void (&encode)(std::string&, std::string_view, std::string_view), const std::string& key,
                        const std::string& value) {
        std::string text = "former";
        text.clear();
        encode(text, key, value);
        return text;
    }

    }  // namespace

    TEST_CASE("commands and queries have the text that the store makes of their values") {
        std::mt19937 random{17};
        for (int round = 0; round < 2'000; ++round) {
            const auto key = any_bytes(random), value = any_bytes(random);
            const auto put = text_of(kv::encode_put, key, value), append = text_of(kv::encode_append, key, value);
            REQUIRE(KvStore::decode_command(put) == kv::Command{kv::Put{key, value}});
            REQUIRE(put == KvStore::encode_command(kv::Put{key, value}));
            REQUIRE(KvStore::decode_command(append) == kv::Command{kv::Append{key, value}});
            REQUIRE(append == KvStore::encode_command(kv::Append{key, value}));
            std::string get;
            kv::encode_get(get, key);
            REQUIRE(KvStore::decode_query(get) == kv::Query{kv::Get{key}});
            REQUIRE(get == KvStore::encode_query(kv::Get{key}));
        }
    }

    TEST_CASE("a plain string is read as the general decoder reads it and other replies are left alone") {
        std::mt19937 random{18};
        int plain = 0;
        for (int round = 0; round < 2'000; ++round) {
            const auto value = any_bytes(random);
            const auto reply = KvStore::encode(value);
            auto text = reply;
            if (kv::take_plain_string(text)) {
                REQUIRE(text == value);
                ++plain;
            } else {
                REQUIRE(text == reply);
            }
        }
        CHECK(plain > 500);
        for (std::string other : {"", "null", "true", "7", "\"", "\"a", "a\"", "\"a\"b", "\"a\" ", " \"a\"", "\"\\n\"",
                                  "[\"a\"]", "{\"b64\":\"AA==\"}"}) {
            auto text = other;
            CHECK_FALSE(kv::take_plain_string(text));
            CHECK(text == other);
        }
        std::string empty = "\"\"";
        CHECK(kv::take_plain_string(empty));
        CHECK(empty.empty());
    }
}
