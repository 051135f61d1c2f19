// What a server can do beyond version 1 of the protocol, as it tells others. A message or an entry that older versions
// do not understand may be used only when all members of the view have announced it (section 10 of the protocol).
#pragma once

#include <algorithm>
#include <string_view>

#include <understudy/protocol/message.hpp>

namespace understudy::replica {

/// What this version announces, in pings and in answers to appends.
inline const Features& own_features() {
    static const Features features{"close"};  // takes `pb.close`
    return features;
}
inline bool announces(const Features& features, std::string_view feature) {
    return std::ranges::find(features, feature) != features.end();
}

}  // namespace understudy::replica
