// What a call fails with.
#pragma once

#include <exception>
#include <string>

namespace understudy::test {

/// The text of what it throws; empty if it throws nothing.
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
