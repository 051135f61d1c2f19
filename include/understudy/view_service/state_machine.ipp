// The function bodies of the view service's state machine. They are compiled in a host's own files, or once in
// understudy::compiled.
#pragma once

#include <understudy/view_service/failure_detector.ipp>
#include <understudy/view_service/state_machine_adopt.ipp>
#include <understudy/view_service/state_machine_behind.ipp>
#include <understudy/view_service/state_machine_calls.ipp>
#include <understudy/view_service/state_machine_operator.ipp>
#include <understudy/view_service/state_machine_pings.ipp>
#include <understudy/view_service/state_machine_record.ipp>
#include <understudy/view_service/state_machine_remove.ipp>
#include <understudy/view_service/state_machine_turns.ipp>
#include <understudy/view_service/state_machine_views.ipp>
