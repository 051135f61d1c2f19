// A completion handler whose type was forgotten: what a table of calls under way holds.
// Asio 1.22 has no any_completion_handler; this is the part of it that the services need.
#pragma once

#include <memory>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/associated_allocator.hpp>
#include <asio/associated_executor.hpp>
#include <asio/bind_allocator.hpp>
#include <asio/dispatch.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>

namespace understudy::detail {

/// Completes a handler of `void(std::error_code, T)`, or of `void(std::error_code)`, with what a function makes of a
/// `Result`. The function is `T translate(std::error_code&, Result&&)` and may turn success into an error.
/// The handler's executor is kept busy until then; its memory comes from the handler's allocator.
template <typename Result>
class Completion {
public:
    Completion() = default;

    template <typename Handler, typename Translate>
    Completion(Handler handler, const asio::any_io_executor& service, Translate translate)
        : held_{Held<Handler, Translate>::make(std::move(handler), service, std::move(translate))} {}

    explicit operator bool() const { return held_ != nullptr; }

    /// Hands the outcome to the handler through its executor, never from within this call. Only once. What is posted is
    /// a step of the service's own executor, from which the handler's is entered: `use_future` then needs no thread.
    void post(std::error_code ec, Result result) { held_.release()->post(ec, std::move(result)); }

private:
    struct Base {
        virtual void post(std::error_code ec, Result&& result) = 0;  // and ends its own life
        virtual void destroy() = 0;

    protected:
        ~Base() = default;
    };
    struct Destroy {
        void operator()(Base* base) const { base->destroy(); }
    };

    template <typename Handler, typename Translate>
    struct Held;

    std::unique_ptr<Base, Destroy> held_;
};

template <typename Result>
template <typename Handler, typename Translate>
struct Completion<Result>::Held final : Base {
    using Executor = asio::associated_executor_t<Handler, asio::any_io_executor>;
    using Allocator = typename std::allocator_traits<
        asio::associated_allocator_t<Handler>>::template rebind_alloc<Held>;
    using Traits = std::allocator_traits<Allocator>;

    Handler handler;
    Translate translate;
    asio::any_io_executor own;
    asio::executor_work_guard<Executor> work;

    Held(Handler&& h, Executor executor, const asio::any_io_executor& service, Translate&& t)
        : handler{std::move(h)}, translate{std::move(t)}, own{service}, work{std::move(executor)} {}

    static Held* make(Handler&& handler, const asio::any_io_executor& service, Translate&& translate) {
        Allocator allocator{asio::get_associated_allocator(handler)};
        Executor executor = asio::get_associated_executor(handler, service);
        auto* room = Traits::allocate(allocator, 1);  // nothing below throws, as handlers move without throwing
        return ::new (static_cast<void*>(room))
            Held{std::move(handler), std::move(executor), service, std::move(translate)};
    }

    void destroy() override {
        Allocator allocator{asio::get_associated_allocator(handler)};
        std::destroy_at(this);
        Traits::deallocate(allocator, this, 1);
    }

    void post(std::error_code ec, Result&& result) override {
        auto allocator = asio::get_associated_allocator(handler);
        auto step = std::move(own);
        auto call = [h = std::move(handler), t = std::move(translate), ec, r = std::move(result)]() mutable {
            using Value = std::invoke_result_t<Translate&, std::error_code&, Result&&>;
            if constexpr (std::is_void_v<Value>) {
                t(ec, std::move(r));
                std::move(h)(ec);
            } else {
                Value value = t(ec, std::move(r));
                std::move(h)(ec, std::move(value));
            }
        };
        auto enter = [busy = std::move(work), allocator, c = std::move(call)]() mutable {
            auto executor = busy.get_executor();
            asio::dispatch(executor, asio::bind_allocator(allocator, std::move(c)));
        };
        destroy();  // the memory is free again before the handler runs, so that its next call can use it
        asio::post(step, asio::bind_allocator(allocator, std::move(enter)));
    }
};

}  // namespace understudy::detail
