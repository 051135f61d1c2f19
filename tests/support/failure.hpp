// The text of the exception that a call throws.
#pragma once

#include <exception>
#include <string>

namespace understudy::test {

/// The text of the exception; empty if the call throws nothing.
template <typename Call>
std::string failure(Call call) {
    try {
        call();
    } catch (const std::exception& thrown) {
        return thrown.what();
    }
    return {};
}

}  // namespace understudy::test
