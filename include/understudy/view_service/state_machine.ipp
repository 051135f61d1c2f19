// What the view service's rules do: in a host's own files, or in understudy::compiled.
#pragma once

#include <understudy/view_service/state_machine_adopt.ipp>
#include <understudy/view_service/state_machine_behind.ipp>
#include <understudy/view_service/state_machine_calls.ipp>
#include <understudy/view_service/state_machine_remove.ipp>
#include <understudy/view_service/state_machine_steps.ipp>
