// The public interface in one include: services, clients, the built-in key/value store, options, errors, events. Not
// included are the transports (understudy/net/tcp.hpp, understudy/net/unix.hpp), the simulator (understudy/sim/) and
// what operators' tools need (understudy/admin.hpp).
#pragma once

#include <understudy/clerk.hpp>
#include <understudy/client.hpp>
#include <understudy/error.hpp>
#include <understudy/event.hpp>
#include <understudy/kv_store.hpp>
#include <understudy/options.hpp>
#include <understudy/pb_service.hpp>
#include <understudy/result.hpp>
#include <understudy/store.hpp>
#include <understudy/transport.hpp>
#include <understudy/version.hpp>
#include <understudy/view_service.hpp>
#include <understudy/view_store.hpp>
