// The namespaces of the rooms. Those that work with messages all the time use the names of protocol/ unqualified.
#pragma once

namespace understudy {

namespace protocol {}

namespace view_service {
using namespace protocol;
}
namespace replica {
using namespace protocol;
}
namespace client {
using namespace protocol;
}
namespace wire {
using namespace protocol;
}
namespace journal {
using namespace protocol;
}
namespace sim {
using namespace protocol;
}
/// What stands in base/, async/ and runtime/, and in headers on top without being for a host.
namespace detail {
using namespace protocol;
}

}  // namespace understudy
