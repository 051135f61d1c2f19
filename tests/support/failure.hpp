// What a call of a disk fails with.
#pragma once

#include <string>
#include <system_error>

namespace understudy::test {

/// The text of what it throws; empty if it throws nothing.
template <typename Call>
std::string failure(Call call) {
    try {
        call();
    } catch (const std::system_error& thrown) {
        return thrown.what();
    }
    return {};
}

}  // namespace understudy::test
