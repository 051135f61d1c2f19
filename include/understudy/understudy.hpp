// The public interface for a host that brings its own store, in one include: services, client, options, errors, events.
// Not included are the key/value store in the box (understudy/clerk.hpp), the transports (understudy/net/tcp.hpp,
// understudy/net/unix.hpp), the simulator (understudy/sim/) and what operators' tools need (understudy/admin.hpp).
#pragma once

#include <understudy/client.hpp>
#include <understudy/error.hpp>
#include <understudy/event.hpp>
#include <understudy/options.hpp>
#include <understudy/pb_service.hpp>
#include <understudy/result.hpp>
#include <understudy/store.hpp>
#include <understudy/transport.hpp>
#include <understudy/version.hpp>
#include <understudy/view_service.hpp>
#include <understudy/view_store.hpp>
