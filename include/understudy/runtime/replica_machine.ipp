// The replica's rules over an erased store, compiled apart from the loop that drives them: together they are twice the
// size of any other part.
#pragma once

#include <understudy/base/config.hpp>
#include <understudy/replica/state_machine.hpp>
#include <understudy/runtime/erased_store.hpp>

#if defined(UNDERSTUDY_SEPARATE_COMPILATION)
namespace understudy {

template class replica::ReplicaRules<detail::ErasedStore>;

}  // namespace understudy
#endif
