// The calls of a host that are under way: who is to be told when the machine has finished one.
// No call has a coroutine of its own: it is an entry here until the loop completes it.
#pragma once

#include <cstdint>
#include <exception>
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

#include <understudy/async/completion.hpp>
#include <understudy/async/initiate.hpp>
#include <understudy/base/recycling_allocator.hpp>

namespace understudy::detail {

template <typename Answer>
class CallTable {
public:
    /// A key that no call had before; they grow.
    std::uint64_t next_key() { return ++last_key_; }
    void add(std::uint64_t key, Completion<Answer> completion) { calls_.emplace(key, std::move(completion)); }

    /// Completes a call; does nothing if it is not under way any more. The handler runs later, through its executor.
    void finish(std::uint64_t key, std::error_code ec, Answer answer = {}) {
        if (auto completion = take(key)) completion.post(ec, std::move(answer));
    }
    /// As `finish`, but together with others: `post_finished` follows.
    void finish_with_others(std::uint64_t key, std::error_code ec, Answer answer) {
        if (auto completion = take(key)) due_->add(std::move(completion), ec, std::move(answer));
    }
    void post_finished(const asio::any_io_executor& service) { due_->post(service); }
    void finish_all(std::error_code ec) {
        auto finished = std::exchange(calls_, {});
        for (auto& [key, completion] : finished) completion.post(ec, {});
    }
    /// Destroys the handlers uncalled, as an execution context does that ends with work undone. What a handler owns
    /// may own this table, so it is emptied first.
    void drop_all() { auto dropped = std::exchange(calls_, {}); }

    bool has(std::uint64_t key) const { return calls_.contains(key); }

private:
    Completion<Answer> take(std::uint64_t key) {
        const auto found = calls_.find(key);
        if (found == calls_.end()) return {};
        auto completion = std::move(found->second);
        calls_.erase(found);
        return completion;
    }

    using Entry = std::pair<const std::uint64_t, Completion<Answer>>;
    std::unordered_map<std::uint64_t, Completion<Answer>, std::hash<std::uint64_t>, std::equal_to<>,
                       RecyclingAllocator<Entry>>
        calls_;
    std::shared_ptr<DueCompletions<Answer>> due_ = std::make_shared<DueCompletions<Answer>>();
    std::uint64_t last_key_ = 0;
};

/// Terminal cancellation of one call. It owns nothing of the service: a slot may outlive it.
template <typename P>
struct CancelCall {
    std::weak_ptr<P> party;
    std::uint64_t key;

    void operator()(asio::cancellation_type type) const {
        if ((type & asio::cancellation_type::terminal) == asio::cancellation_type::none) return;
        if (auto alive = party.lock()) alive->cancel(key);
    }
};

/// The initiation of every call that waits in a table. `P` has `calls`, `executor()`, `start(key, request)`, which may
/// finish the call already, and `cancel(key)`.
template <typename P>
struct StartCall {
    std::shared_ptr<P> party;

    template <typename Handler, typename Request, typename Translate>
    void operator()(Handler handler, Request request, Translate translate) const {
        party->threads.called(*party);
        auto& calls = party->calls;
        const auto key = calls.next_key();
        if (auto slot = asio::get_associated_cancellation_slot(handler); slot.is_connected())
            slot.assign(CancelCall<P>{party, key});
        calls.add(key, {std::move(handler), party->executor(), std::move(translate)});
        party->start(key, std::move(request));
    }
};

/// The same of a token that throws.
template <typename P>
struct StartThrowingCall {
    std::shared_ptr<P> party;

    template <typename Handler, typename Request, typename Translate>
    void operator()(Handler handler, Request request, Translate translate) const {
        StartCall<P>{party}(Throwing<Handler>{std::move(handler)}, std::move(request), std::move(translate));
    }
};

template <typename Value>
struct CallSignature {
    using type = void(std::error_code, Value);
    using throwing = void(std::exception_ptr, Value);
};
template <>
struct CallSignature<void> {
    using type = void(std::error_code);
    using throwing = void(std::exception_ptr);
};

/// Starts a call and completes `token` with `void(std::error_code, T)`, or `void(std::error_code)`, where `T` is
/// `Translate::Value`, what `translate` makes of the answer. A token that throws gets the exception with its reasons.
template <typename P, typename Request, typename Translate, typename Token>
auto async_call(std::shared_ptr<P> party, Request request, Translate translate, Token&& token) {
    using Signature = CallSignature<typename Translate::Value>;
    if constexpr (throws_failures<std::decay_t<Token>>)
        return asio::async_initiate<Token, typename Signature::throwing>(
            StartThrowingCall<P>{std::move(party)}, token, std::move(request), std::move(translate));
    else
        return asio::async_initiate<Token, typename Signature::type>(StartCall<P>{std::move(party)}, token,
                                                                     std::move(request), std::move(translate));
}

}  // namespace understudy::detail
