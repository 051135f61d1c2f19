// The replica's state machine over an erased store, which replica_machine.ipp compiles once. The declaration has a
// header of its own: in one translation unit with the definition it has to come first.
#pragma once

#include <understudy/replica/state_machine.hpp>
#include <understudy/runtime/erased_store.hpp>

#if defined(UNDERSTUDY_SEPARATE_COMPILATION)
namespace understudy {

extern template class replica::ReplicaStateMachine<detail::ErasedStore>;

}  // namespace understudy
#endif
