// What the view service's rules do: in a host's own files, or in understudy::compiled.
#pragma once

#include <understudy/core/view_rules_adopt.ipp>
#include <understudy/core/view_rules_behind.ipp>
#include <understudy/core/view_rules_calls.ipp>
#include <understudy/core/view_rules_remove.ipp>
#include <understudy/core/view_rules_steps.ipp>
