// The namespaces of the library's folders. All that work with messages see the names of protocol/ without a qualifier.
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
/// What joins the state machines with a host: async/, runtime/, and those parts of the public headers that are not part
/// of the public interface.
namespace detail {
using namespace protocol;
}

}  // namespace understudy
