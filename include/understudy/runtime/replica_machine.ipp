// The replica's state machine over an erased store, compiled apart from its driver. Together they would be twice the
// size of any other translation unit.
#pragma once

#include <understudy/base/config.hpp>
#include <understudy/runtime/replica_machine.hpp>

#if defined(UNDERSTUDY_SEPARATE_COMPILATION)
namespace understudy {

template class replica::ReplicaStateMachine<detail::ErasedStore>;

}  // namespace understudy
#endif
