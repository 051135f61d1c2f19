// The features that a server has beyond version 1 of the protocol. An older version does not understand a new message
// or entry. So it may be used only while all members of the view have announced the feature (section 10 of the
// protocol).
#pragma once

#include <algorithm>
#include <string_view>

#include <understudy/protocol/message.hpp>

namespace understudy::replica {

/// The features that this version announces, in pings and in answers to appends.
inline const Features& own_features() {
    static const Features features{"close"};  // accepts `pb.close`
    return features;
}
inline bool announces(const Features& features, std::string_view feature) {
    return std::ranges::find(features, feature) != features.end();
}

}  // namespace understudy::replica
