// Shows that the core stands on the standard library alone: this file includes all of it (the build writes the
// list), and fails to compile if Asio or nlohmann/json came along.
#include "core_headers.hpp"

#if defined(ASIO_VERSION)
#error "a header of the core includes Asio"
#endif
#if defined(NLOHMANN_JSON_VERSION_MAJOR)
#error "a header of the core includes nlohmann/json"
#endif

#include <doctest/doctest.h>

TEST_SUITE("layers") {
    TEST_CASE("the core needs neither Asio nor nlohmann/json") { CHECK(understudy::protocol_version == 1); }
}
