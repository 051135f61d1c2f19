// Call ids that contain their method, and the table of methods.
#include <doctest/doctest.h>

#include <understudy/protocol/call_id.hpp>

using namespace understudy;
using namespace understudy::protocol;

TEST_SUITE("call_id") {
    TEST_CASE("an id gives back the method and the number that it was made of") {
        for (auto method : {Method::view_ping, Method::pb_execute, Method::replica_install})
            for (std::uint64_t n : {0ull, 1ull, 77ull, (1ull << 48) - 1}) {
                auto id = make_call_id(method, n);
                CHECK(read_call_id(id) == CallName{method, n});
                CHECK(call_method(id) == method);
                CHECK(call_number(id) == n);
            }
    }

    TEST_CASE("the largest number stays below the integers that every JSON library reads exactly") {
        CHECK(make_call_id(Method::replica_install, (1ull << 48) - 1).number() < 1ull << 53);
    }

    TEST_CASE("an id of another form names no method") {
        for (auto text : {"", "\"9\"", "9.0", " 9", "9 ", "-9", "x", "99999999999999999999999", "32", "31"})
            CHECK(call_method(text) == Method::none);
    }

    TEST_CASE("an id keeps its text to the letter and numbers are kept as such") {
        for (auto text : {"0", "17", "9999999999999999999"}) {
            CHECK(CallId{text}.is_number());
            CHECK(CallId{text}.json() == text);
        }
        for (auto text : {"00", "017", "-1", "10000000000000000000", "18446744073709551615", "18446744073709551614",
                          "\"17\"", "\"a\""}) {
            CHECK_FALSE(CallId{text}.is_number());
            CHECK_FALSE(CallId{text}.empty());
            CHECK(CallId{text}.json() == text);
            CHECK(CallId{text} == CallId{text});
        }
        CHECK(CallId{""}.empty());
        CHECK(CallId{}.json() == "");
        CHECK(CallId{"17"} != CallId{"\"17\""});
        CHECK(CallId{"\"a\""} != CallId{"\"b\""});
        CHECK(CallId{"17"} != CallId{});
    }

    TEST_CASE("every method has a name that finds it") {
        for (auto i = 1; i <= static_cast<int>(Method::view_changed); ++i) {
            auto method = static_cast<Method>(i);
            CHECK(find_method(to_string(method)) == method);
        }
        CHECK(find_method("view.gett") == Method::none);
        CHECK(find_method("") == Method::none);
    }
}
