// Sentences of refusals that several handlers of the view service use.
#pragma once

#include <string>

#include <understudy/base/printable.hpp>
#include <understudy/version.hpp>

namespace understudy::view_service {

inline std::string group_name_text() {
    return "`group` must have 1 to " + std::to_string(max_group_name) + " bytes and no control character";
}

inline std::string version_text(int version) {
    return "protocol version " + std::to_string(version) + " was asked for, this view service speaks version " +
           std::to_string(protocol_version);
}

}  // namespace understudy::view_service
