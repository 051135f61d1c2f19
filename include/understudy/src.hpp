// All that is no template, for a host that compiles it once: defined UNDERSTUDY_SEPARATE_COMPILATION everywhere, and
// included by one source file. Or each part by a file of its own, which two cores compile in half of the time: the
// CMake target understudy::compiled does that.
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
