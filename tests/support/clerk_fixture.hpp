// A fixture for one client: the test plays the view service and the primary by hand, one envelope at a time.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <tests/support/hand_driver.hpp>
#include <understudy/client/state_machine.hpp>

namespace understudy::test {

using namespace protocol;
using namespace client;

inline constexpr auto cluster = ClusterId{7};
inline const Address view_service = "tcp://v";

inline ViewInfo view(ViewNumber number, const Address& primary, std::uint64_t incarnation = 1) {
    View decided;
    decided.number = number;
    decided.primary = {primary, Incarnation{incarnation}, false};
    return {"main", cluster, 100ms, decided};
}

struct Fixture {
    ClientStateMachine clerk;
    Time now{Duration{10s}};
    client::Output out;

    explicit Fixture(ClientOptions options = {}) : clerk(with_service(std::move(options)), 1) {}
    static ClientOptions with_service(ClientOptions options) {
        if (options.view_service.empty()) options.view_service = {view_service};
        return options;
    }

    /// Runs one turn and returns what the client sent.
    std::vector<Envelope> turn(Duration later = {}) {
        now += later;
        take_turn(clerk, now, out);
        CHECK(clerk.deadline() > now);
        auto again = clerk;
        client::Output nothing;
        again.wake(now, nothing);
        CHECK(again == clerk);  // waking early changes nothing
        CHECK(nothing.outbox.empty());
        return std::exchange(out.outbox, {});
    }
    /// Advances the time to the state machine's deadline, then runs one turn.
    std::vector<Envelope> sleep() { return turn(clerk.deadline() - now); }
    void receive(const Address& from, const CallId& id, Message message) {
        clerk.receive({from, id, std::move(message)}, now, out);
    }
    void answer(const Envelope& request, Message message) { receive(request.peer, request.id, std::move(message)); }
    void refuse(const Envelope& request, error code, std::optional<ViewInfo> info = {}) {
        std::string method{to_string(call_method(request.id))};
        answer(request, Failure{std::move(method), code, "because", std::move(info), {}, {}});
    }
    void push(ViewInfo info) { receive(view_service, "", ViewChanged{std::move(info)}); }
    void execute(CallKey key, std::optional<Duration> give_up_after = {}) {
        clerk.execute(key, std::to_string(key), give_up_after, now);
    }
    void query(CallKey key, std::optional<Duration> give_up_after = {}) {
        clerk.query(key, std::to_string(key), give_up_after, now);
    }

    /// Goes through the view and the session with the first command; returns what was sent once the session was open.
    std::vector<Envelope> begin(ViewInfo info = view(1, "tcp://a"), SessionId session = {1, 1}) {
        auto asked = turn();
        REQUIRE(asked.size() == 1);
        answer(asked[0], ViewResult{std::move(info)});
        auto opening = turn();
        REQUIRE(opening.size() == 1);
        REQUIRE(std::holds_alternative<Open>(opening[0].message));
        answer(opening[0], OpenResult{session});
        return turn();
    }
    std::vector<Finished> finished() { return clerk.take_finished(); }
    bool emitted(error code) const {
        return std::ranges::any_of(out.events, [&](const Event& event) {
            auto* refused = std::get_if<Refused>(&event);
            return refused && refused->code == code;
        });
    }
};

template <typename M>
std::vector<Envelope> only(const std::vector<Envelope>& sent) {
    std::vector<Envelope> some;
    for (const auto& envelope : sent)
        if (std::holds_alternative<M>(envelope.message)) some.push_back(envelope);
    return some;
}
inline const Execute& command(const Envelope& envelope) { return std::get<Execute>(envelope.message); }
inline ExecuteResult result(Index index) { return {{1, index}, "\"done\""}; }

}  // namespace understudy::test
