// Targets: each state machine receives arbitrary well-formed messages, in any order and at any time.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include <understudy/client/state_machine.hpp>
#include <understudy/kv_store.hpp>
#include <understudy/replica/state_machine.hpp>
#include <understudy/view_service/state_machine.hpp>
#include <understudy/wire/typed_store.hpp>

#include "tests/fuzz/machine.hpp"

namespace understudy::fuzz {

using namespace view_service;
using namespace replica;
using namespace client;

inline constexpr Time start = Time{} + std::chrono::hours{1};

inline void fuzz_view_rules(std::string_view bytes) {
    Bytes in{bytes};
    ViewOptions options;
    options.backups = in.below(4);
    options.dead_pings = in.pick({5, 2});
    options.max_groups = 1 + in.below(3);
    options.max_servers = 1 + in.below(5);
    options.max_watchers = in.below(4);
    options.max_events = in.below(5);
    MachineDriver driver{ViewStateMachine{options, ClusterId{1}, start}, in, start};
    auto& machine = driver.machine;
    while (!in.empty()) {
        switch (in.below(8)) {
            default: driver.receive_any(); break;
            case 5: driver.lose_connection(); break;
            case 6: driver.probe(); break;
            case 7: driver.pass_time(), driver.turn(); break;
        }
        const auto* info = machine.view("g");
        if (!info || info->view.number == 0) continue;  // no view yet, or the group was removed
        UNDERSTUDY_CHECK(info->view.number >= driver.hints.info.view.number);  // no number is used twice
        driver.hints.info = *info;
    }
    driver.turn();
}

namespace detail {

inline ReplicaOptions replica_options(Bytes& in) {
    using namespace std::chrono_literals;
    ReplicaOptions options;
    options.view_service = {"v", "w"};
    options.group = "g";
    options.min_in_sync = in.below(3);
    options.log_bytes = in.pick<std::size_t>({1 << 20, 0, 400, 2000});
    options.transfer_log_bytes = in.pick<std::size_t>({1 << 20, 0, 1000});
    options.max_command = in.pick<std::size_t>({1 << 10, 40});
    options.append_bytes = in.pick<std::size_t>({1000, 1, 300});
    options.window_bytes = options.append_bytes * in.pick<std::size_t>({100, 1, 3});
    options.chunk_bytes = in.pick<std::size_t>({100, 1, 16});
    options.chunk_window = 1 + in.below(4);
    options.max_calls = in.pick<std::size_t>({1000, 1, 5});
    options.max_calls_per_peer = in.pick<std::size_t>({1000, 1, 3});
    options.max_call_bytes = in.pick<std::size_t>({1 << 20, 1000});
    options.max_sessions = 1 + in.below(4);
    options.max_results = 1 + in.below(4);
    options.max_dumps = in.below(3);
    options.session_ttl = in.pick<Duration>({2s, 600s});
    options.transfer_ttl = 200ms;
    options.dump_ttl = 300ms;
    return options;
}

}  // namespace detail

inline void fuzz_replica_rules(std::string_view bytes) {
    using Text = wire::TypedStore<KvStore>;
    Bytes in{bytes};
    const auto options = detail::replica_options(in);
    MachineDriver driver{ReplicaStateMachine<Text>{Text{}, options, "a", Incarnation{1}, start}, in, start};
    auto& machine = driver.machine;
    driver.turn();
    while (!in.empty()) {
        switch (in.below(16)) {
            default: driver.receive_any(); break;
            case 4:
            case 5:
            case 6:
            case 7: driver.receive_answer(); break;
            case 8: driver.lose_connection(); break;
            case 9: machine.leave(driver.now(), driver.effects); break;
            case 10: machine.stay(driver.now(), driver.effects); break;
            case 11:
            case 12:
            case 13:
            case 14:
            case 15: driver.pass_time(), driver.turn(); break;
        }
        auto& hints = driver.hints;
        hints.info = machine.view();
        if (hints.info.cluster == ClusterId::none) hints.info.cluster = ClusterId{1};
        hints.last = machine.state().log.last();
        hints.commit = machine.state().commit;
    }
    driver.turn();
    // The applied entries that are retained stay within the larger of the two bounds, plus one entry.
    const auto& state = machine.state();
    if (machine.serving() || machine.role() == Role::backup) {
        const auto bound = std::max(options.log_bytes, options.transfer_log_bytes) + 1000;
        UNDERSTUDY_CHECK(machine.failed() || state.log.bytes(state.log.base().index, state.applied.index) <= bound);
    }
}

inline void fuzz_clerk_rules(std::string_view bytes) {
    using namespace std::chrono_literals;
    Bytes in{bytes};
    ClientOptions options;
    options.view_service = {"v", "w"};
    options.group = "g";
    options.give_up_after = in.pick<Duration>({4s, 10ms, Duration::max()});
    options.retry_first = in.pick<Duration>({10ms, 1ns});
    options.resend_after = in.pick<Duration>({100ms, 1ns, Duration::max()});
    options.max_calls = 1 + in.below(6);
    options.session = !in.one_in(4);
    options.window = 1 + in.below(4);
    options.window_bytes = in.pick<std::size_t>({1000, 1, 30});
    options.max_command = in.pick<std::size_t>({1000, 20});
    MachineDriver driver{ClientStateMachine{options, 7}, in, start};
    auto& machine = driver.machine;
    std::set<CallKey> open;
    CallKey last = 0;
    auto collect = [&] {  // each call finishes once
        for (const auto& finished : machine.take_finished()) UNDERSTUDY_CHECK(open.erase(finished.key) == 1);
        UNDERSTUDY_CHECK(machine.pending() == open.size());
    };
    auto timeout = [&]() -> std::optional<Duration> {
        return in.one_in(4) ? std::optional{in.duration()} : std::nullopt;
    };
    while (!in.empty()) {
        switch (in.below(16)) {
            case 0:
            case 1: {
                const auto size = in.pick<std::size_t>({1, 19, 21});
                machine.execute(*open.insert(++last).first, '"' + std::string(size, 'x') + '"', timeout(),
                                driver.now());
                break;
            }
            case 2: machine.query(*open.insert(++last).first, "\"q\"", timeout(), driver.now()); break;
            case 3: machine.dump(*open.insert(++last).first, std::nullopt, in.number(), timeout(), driver.now()); break;
            case 4: machine.cancel(last, driver.now()), open.erase(last); break;
            case 5: machine.follow(driver.now()); break;
            case 6: driver.lose_connection(); break;
            case 7: driver.receive_any(); break;
            case 8:
            case 9:
            case 10:
            case 11: driver.receive_answer(); break;
            case 12:
                if (const auto end = in.byte(); end == 255)
                    machine.stop();
                else if (end == 254)
                    machine.leave(driver.now());
                break;
            default: driver.pass_time(), driver.turn(); break;
        }
        collect();
        driver.hints.info = machine.view();
        if (driver.hints.info.group.empty()) driver.hints.info = Hints{}.info;
    }
    machine.stop();
    collect();
    UNDERSTUDY_CHECK(open.empty());
    driver.turn();
}

}  // namespace understudy::fuzz
