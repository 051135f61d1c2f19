// Addresses: what they mean, and the error texts for invalid ones.
#include <doctest/doctest.h>

#include <understudy/net/address.hpp>

using namespace understudy;
using namespace understudy::net;

TEST_SUITE("address") {
    namespace {
    Target parts(std::string_view address) {
        auto parsed = parse_address(address);
        REQUIRE_MESSAGE(std::holds_alternative<Target>(parsed), address);
        return std::get<Target>(parsed);
    }
    std::string wrong(std::string_view address, Schemes allowed = Schemes::any) {
        auto parsed = parse_address(address, allowed);
        return std::holds_alternative<std::string>(parsed) ? std::get<std::string>(parsed) : "nothing";
    }
    bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }
    }  // namespace

    TEST_CASE("an address is taken apart and put together again") {
        for (const auto* address :
             {"tcp://127.0.0.1:7000", "tcp://[::1]:7000", "tcp://name.example:0", "unix:///run/kv/a.sock"})
            CHECK(format_address(parts(address)) == address);
        CHECK(parts("tcp://[::1]:7000").host == "::1");
        CHECK(parts("tcp://localhost:65535").port == 65535);
        CHECK(parts("unix:///run/a").path == "/run/a");
    }

    TEST_CASE("a wildcard is an address that nobody can dial") {
        CHECK(parts("tcp://0.0.0.0:1").is_wildcard());
        CHECK(parts("tcp://[::]:1").is_wildcard());
        CHECK_FALSE(parts("tcp://127.0.0.1:1").is_wildcard());
        CHECK_FALSE(parts("tcp://localhost:1").is_wildcard());
        CHECK_FALSE(parts("unix:///run/a").is_wildcard());
    }

    TEST_CASE("what is wrong with an address is said in words that quote it") {
        CHECK(wrong("127.0.0.1:7000") == "\"127.0.0.1:7000\" is no address: expected tcp://host:port or unix:///path");
        CHECK(contains(wrong(""), "expected tcp://host:port"));
        CHECK(contains(wrong("tcp://host"), "the port is missing"));
        CHECK(contains(wrong("tcp://[::1]"), "the port is missing"));
        CHECK(contains(wrong("tcp://host:"), "the port must be a number"));
        CHECK(contains(wrong("tcp://host:65536"), "the port must be a number"));
        CHECK(contains(wrong("tcp://host:-1"), "the port must be a number"));
        CHECK(contains(wrong("tcp://host:7x"), "the port must be a number"));
        CHECK(contains(wrong("tcp://::1:7000"), "stands in brackets"));
        CHECK(contains(wrong("tcp://[127.0.0.1]:7000"), "no IPv6 address in the brackets"));
        CHECK(contains(wrong("tcp://:7000"), "the host must be"));
        CHECK(contains(wrong("tcp://a b:7000"), "the host must be"));
        CHECK(contains(wrong("unix://relative"), "the path must be absolute"));
        CHECK(contains(wrong("unix:///run/"), "the path must be absolute and name a file"));
        CHECK(contains(wrong("unix:///a#b"), "must not contain #"));
    }

    TEST_CASE("a path that is too long for the system is refused with both lengths") {
        const auto longest = "unix:///" + std::string(max_unix_path - 1, 'a');
        CHECK(wrong(longest) == "nothing");
        const auto limit = std::to_string(max_unix_path);
        CHECK(contains(wrong(longest + "a"), std::to_string(max_unix_path + 1) + " bytes, the system allows " + limit));
    }

    TEST_CASE("a transport of one kind refuses addresses of the other") {
        CHECK(contains(wrong("unix:///run/a", Schemes::tcp), "only knows tcp://"));
        CHECK(contains(wrong("tcp://host:1", Schemes::unix_socket), "only knows unix://"));
    }

    TEST_CASE("a reply address is known by its number sign and is no address to dial") {
        CHECK(is_reply_address("tcp://127.0.0.1:5#17"));
        CHECK_FALSE(is_reply_address("tcp://127.0.0.1:5"));
        CHECK(contains(wrong("tcp://127.0.0.1:5#17"), "the port must be a number"));
    }

}  // TEST_SUITE
