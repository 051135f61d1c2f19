// The replica's rules over an erased store, compiled apart from the loop that drives them: together they are twice the
// size of any other part.
#pragma once

#include <understudy/core/config.hpp>
#include <understudy/core/replica_rules.hpp>
#include <understudy/runtime/erased_store.hpp>

#if defined(UNDERSTUDY_SEPARATE_COMPILATION)
namespace understudy {

template class ReplicaRules<detail::ErasedStore>;

}  // namespace understudy
#endif
