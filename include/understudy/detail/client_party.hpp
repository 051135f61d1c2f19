// A client at work: its rules, its loop, which begins with the first call, and its calls.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include <asio/error.hpp>

#include <understudy/core/clerk_rules.hpp>
#include <understudy/detail/call_table.hpp>
#include <understudy/detail/service.hpp>
#include <understudy/detail/typed_call.hpp>

namespace understudy::detail {

struct ExecuteCall {
    CallText command;
    std::optional<Duration> give_up_after{};
};
struct QueryCall {
    CallText query;
    std::optional<Duration> give_up_after{};
};
struct DumpCall {
    std::optional<Position> at{};
    std::uint64_t chunk = 0;
};

template <Transport T>
class ClientParty final : public Party<ClerkRules, T>, public std::enable_shared_from_this<ClientParty<T>> {
public:
    using Party<ClerkRules, T>::Party;

    CallTable<Answer> calls;

    void start(std::uint64_t key, ExecuteCall call) {
        if (!call.command) return calls.finish(key, error::bad_request);
        begin(key, [&](Time now) { this->machine.execute(key, std::move(*call.command), call.give_up_after, now); });
    }
    void start(std::uint64_t key, QueryCall call) {
        if (!call.query) return calls.finish(key, error::bad_request);
        begin(key, [&](Time now) { this->machine.query(key, std::move(*call.query), call.give_up_after, now); });
    }
    void start(std::uint64_t key, DumpCall call) {
        begin(key, [&](Time now) { this->machine.dump(key, call.at, call.chunk, {}, now); });
    }
    void cancel(std::uint64_t key) {
        this->machine.cancel(key, this->transport.now());
        calls.finish(key, asio::error::operation_aborted);
    }

    /// Ends in good order: the loop goes on for a little while, to close the session.
    void leave() {
        if (left()) return;
        calls.finish_all(asio::error::operation_aborted);
        this->machine.leave(this->transport.now());
        this->silence();
        if (!this->running || !this->machine.leaving()) return this->stop();
        leaving_ = true;
        this->transport.wake();
    }
    /// Nobody holds it any more. If it ends in good order it goes on with that.
    void abandoned() {
        if (!leaving_) this->stop();
    }

    /// Learns the view and keeps up with it.
    void follow() {
        if (left()) return;
        this->machine.follow(this->transport.now());
        go();
    }

    void run_ended() override { calls.finish_all(asio::error::operation_aborted); }
    void run_dropped() override { calls.drop_all(); }

private:
    bool left() const { return leaving_ || this->stopped(); }

    template <typename Step>
    void begin(std::uint64_t key, Step step) {
        if (left()) return calls.finish(key, error::closed);
        step(this->transport.now());
        go();
    }
    void go() {
        this->transport.wake();
        run_in_background(this->shared_from_this());
    }

    void turn_ended() override {
        for (auto& done : this->machine.take_finished()) {
            if (done.error) {
                done.value = "group " + this->machine.options().group;
                if (!done.detail.empty()) {
                    done.value += ": " + done.detail;
                    this->tell(CallFailed{*done.error, std::move(done.detail)});
                }
            }
            if (done.dump) done.value = std::move(done.dump->data);
            calls.finish_with_others(done.key, done.error ? make_error_code(*done.error) : std::error_code{},
                                     {done.at, std::move(done.value), !done.dump || done.dump->last});
        }
        calls.post_finished(this->executor());
        if (leaving_ && !this->machine.leaving()) this->stop();
    }

    bool leaving_ = false;
};

}  // namespace understudy::detail
