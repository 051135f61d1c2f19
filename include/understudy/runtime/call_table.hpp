// The pending calls of a host, and their completion handlers. A call has no coroutine of its own: it is an entry in
// this table until the driver completes it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <system_error>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/async_result.hpp>
#include <asio/cancellation_type.hpp>

#include <understudy/async/completion_handler.hpp>
#include <understudy/async/initiate.hpp>
#include <understudy/async/token.hpp>
#include <understudy/base/recycling_allocator.hpp>

namespace understudy::detail {

template <typename Answer>
class CallTable {
public:
    /// A key that no earlier call had. Keys grow.
    std::uint64_t next_key() { return ++last_key_; }
    void add(std::uint64_t key, CompletionHandler<Answer> completion) { calls_.emplace(key, std::move(completion)); }

    /// Completes a call. Does nothing if the call is no longer pending. The handler runs later, through its executor.
    void finish(std::uint64_t key, std::error_code ec, Answer answer = {}) {
        if (auto completion = take(key)) completion.post(ec, std::move(answer));
    }
    /// As `finish`, but the completions of one turn are collected. Call `post_finished` after the last of them.
    void finish_with_others(std::uint64_t key, std::error_code ec, Answer answer) {
        if (auto completion = take(key)) due_->add(std::move(completion), ec, std::move(answer));
    }
    void post_finished(const asio::any_io_executor& service) { due_->post(service); }
    /// In place of `post_finished`, where the caller runs on the service's executor and within no call of the host. It
    /// throws what a handler throws; then the others run later.
    void run_finished(const asio::any_io_executor& service) { due_->shared_from_this()->run(service); }
    void finish_all(std::error_code ec) {
        auto finished = std::exchange(calls_, {});
        for (auto& [key, completion] : finished) completion.post(ec, {});
    }
    /// Destroys the handlers without calling them, as an execution context does that ends with unfinished work. The
    /// table is emptied first, because a handler may own the object that contains this table.
    void drop_all() { auto dropped = std::exchange(calls_, {}); }

    bool has(std::uint64_t key) const { return calls_.contains(key); }

private:
    CompletionHandler<Answer> take(std::uint64_t key) {
        const auto found = calls_.find(key);
        if (found == calls_.end()) return {};
        auto completion = std::move(found->second);
        calls_.erase(found);
        return completion;
    }

    using Entry = std::pair<const std::uint64_t, CompletionHandler<Answer>>;
    std::unordered_map<std::uint64_t, CompletionHandler<Answer>, std::hash<std::uint64_t>, std::equal_to<>,
                       RecyclingAllocator<Entry>>
        calls_;
    std::shared_ptr<DueCompletions<Answer>> due_ = std::make_shared<DueCompletions<Answer>>();
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
    void operator()(Handler handler, Request request, Translate translate) const {
        driver->threads.called(*driver);
        auto& calls = driver->calls;
        const auto key = calls.next_key();
        if (auto slot = asio::get_associated_cancellation_slot(handler); slot.is_connected())
            slot.assign(CancelCall<P>{driver, key, cancellation_of(request)});
        calls.add(key, {std::move(handler), driver->executor(), std::move(translate)});
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
auto async_call(std::shared_ptr<P> driver, Request request, Translate translate, Token&& token) {
    using Signature = SignatureFor<Token, typename Translate::Value>;
    using Start = std::conditional_t<throws_failures<std::decay_t<Token>>, StartThrowingCall<P>, StartCall<P>>;
    return asio::async_initiate<Token, Signature>(Start{std::move(driver)}, token, std::move(request),
                                                  std::move(translate));
}

}  // namespace understudy::detail
