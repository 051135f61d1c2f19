// All definitions that are not templates, for a host that compiles them once: it defines
// UNDERSTUDY_SEPARATE_COMPILATION everywhere, and includes this header in one source file. Each of the parts below may
// also be compiled in a source file of its own, which takes half of the time on two cores. The CMake target
// understudy::compiled does that.
#pragma once

#include <understudy/event.ipp>
#include <understudy/kv/store.ipp>
#include <understudy/net/stream_transport.ipp>
#include <understudy/runtime/admin_node.ipp>
#include <understudy/runtime/client_node.ipp>
#include <understudy/runtime/replica_machine.ipp>
#include <understudy/runtime/replica_node.ipp>
#include <understudy/runtime/view_node.ipp>
#include <understudy/view_service/state_machine.ipp>
#include <understudy/wire/json.ipp>
