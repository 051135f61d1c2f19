// The pending calls of a host, and their completion handlers. A call has no coroutine of its own: it is an entry in
// this table until the driver completes it.
#pragma once

#include <cstdint>
#include <memory>
#include <system_error>
#include <type_traits>
#include <utility>

#include <asio/associated_cancellation_slot.hpp>
#include <asio/async_result.hpp>
#include <asio/cancellation_type.hpp>

#include <understudy/async/completion_handler.hpp>
#include <understudy/async/initiate.hpp>
#include <understudy/async/token.hpp>
#include <understudy/base/number_map.hpp>

namespace understudy::detail {

template <typename Answer>
class CallTable {
public:
    /// A key that no earlier call had. Keys grow.
    std::uint64_t next_key() { return ++last_key_; }
    /// `owner.executor()` is the service's executor.
    template <typename Handler, typename Translate, typename Owner>
    void add(std::uint64_t key, Handler handler, Translate translate, Owner& owner) {
        if (!due_) due_ = std::make_shared<DueCompletions<Answer>>(owner.executor());
        calls_.add(key, due_->hold(std::move(handler), std::move(translate)));
    }

    /// Completes a call. Does nothing if the call is no longer pending. The handler runs later, through its executor.
    void finish(std::uint64_t key, std::error_code ec, Answer answer = {}) {
        if (auto completion = calls_.take(key)) completion.post(due_->service(), ec, std::move(answer));
    }
    /// As `finish`, but the completions of one turn are collected. Call `post_finished` after the last of them.
    void finish_with_others(std::uint64_t key, std::error_code ec, Answer&& answer) {
        if (auto completion = calls_.take(key)) due_->add(std::move(completion), ec, std::move(answer));
    }
    void post_finished() {
        if (due_) due_->post();
    }
    /// In place of `post_finished`, where the caller runs on the service's executor and within no call of the host. It
    /// throws what a handler throws; then the others run later.
    void run_finished() {
        if (const auto due = due_) due->run();
    }
    void finish_all(std::error_code ec) {
        const auto due = due_;
        auto finished = std::exchange(calls_, {});
        finished.for_each([&](std::uint64_t, auto& completion) { completion.post(due->service(), ec, {}); });
    }
    /// Destroys the handlers without calling them, as an execution context does that ends with unfinished work. The
    /// table is emptied first, because a handler may own the object that contains this table.
    void drop_all() {
        const auto due = due_;  // its memory is that of the handlers
        auto dropped = std::exchange(calls_, {});
    }

    bool has(std::uint64_t key) const { return calls_.contains(key); }

private:
    std::shared_ptr<DueCompletions<Answer>> due_;  // none before the first call; outlives `calls_`
    NumberMap<CompletionHandler<Answer>> calls_;
    std::uint64_t last_key_ = 0;
};

/// Cancellation of one call by the kinds that it accepts. It holds only a weak pointer, because the cancellation slot
/// may outlive the service.
template <typename P>
struct CancelCall {
    std::weak_ptr<P> driver;
    std::uint64_t key;
    asio::cancellation_type accepted;

    void operator()(asio::cancellation_type type) const {
        if ((type & accepted) == asio::cancellation_type::none) return;
        if (auto alive = driver.lock()) alive->cancel(key);
    }
};

/// Initiates a call that waits in a table. `P` has `calls`, `executor()`, `cancel(key)`, and `start(key, request)`,
/// which may complete the call at once. `request.only_reads()` says whether the call has no effect.
template <typename P>
struct StartCall {
    std::shared_ptr<P> driver;

    template <typename Handler, typename Request, typename Translate>
    void operator()(Handler&& handler, Request request, Translate translate) const {
        driver->threads.called(*driver);
        auto& calls = driver->calls;
        const auto key = calls.next_key();
        if (auto slot = asio::get_associated_cancellation_slot(handler); slot.is_connected())
            slot.assign(CancelCall<P>{driver, key, cancellation_of(request)});
        calls.add(key, std::forward<Handler>(handler), std::move(translate), *driver);
        driver->start(key, std::move(request));
    }
};

/// As `StartCall`, for a token that turns failures into exceptions.
template <typename P>
struct StartThrowingCall {
    std::shared_ptr<P> driver;

    template <typename Handler, typename Request, typename Translate>
    void operator()(Handler handler, Request request, Translate translate) const {
        StartCall<P>{driver}(Throwing<Handler>{std::move(handler)}, std::move(request), std::move(translate));
    }
};

/// Starts a call. Completes `token` with `void(std::error_code, T)`, where `T` is `Translate::Value`, which `translate`
/// makes of the answer; or with `void(std::error_code)` if `T` is void. A token that throws gets an exception whose
/// text has the cause.
template <typename P, typename Request, typename Translate, typename Token>
auto async_call(std::shared_ptr<P> driver, Request&& request, Translate translate, Token&& token) {
    using Signature = SignatureFor<Token, typename Translate::Value>;
    using Start = std::conditional_t<throws_failures<std::decay_t<Token>>, StartThrowingCall<P>, StartCall<P>>;
    return asio::async_initiate<Token, Signature>(Start{std::move(driver)}, token, std::forward<Request>(request),
                                                  std::move(translate));
}

}  // namespace understudy::detail
