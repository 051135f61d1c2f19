// Shows that the state machines depend on the standard library alone: this file includes all their headers (the build
// writes the list), and fails to compile if they bring Asio or nlohmann/json along.
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
