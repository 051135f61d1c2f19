// A type-erased completion handler, as a table of pending calls stores it. Asio 1.22 has no any_completion_handler;
// this has those parts of it that the services need.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/associated_allocator.hpp>
#include <asio/associated_executor.hpp>
#include <asio/bind_allocator.hpp>
#include <asio/dispatch.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>

namespace understudy::detail {

/// Extracts the human-readable cause from the result of a failed call. Specialized for result types that have one.
template <typename Result>
struct FailureText {
    static std::string take(Result&) { return {}; }
};

/// Completes a handler of `void(std::error_code, T)`, or of `void(std::error_code)`. The value is what `T
/// translate(std::error_code&, Result&&)` makes of a `Result`; `translate` may also turn success into an error. Until
/// then it keeps the handler's executor busy. Its memory comes from the handler's allocator.
template <typename Result>
class CompletionHandler {
public:
    CompletionHandler() = default;

    template <typename Handler, typename Translate>
    CompletionHandler(Handler handler, const asio::any_io_executor& service, Translate translate)
        : held_{Held<Handler, Translate>::make(std::move(handler), service, std::move(translate))} {}

    explicit operator bool() const { return held_ != nullptr; }

    /// Passes the outcome to the handler through the handler's executor, never from within this call. Only once. It
    /// posts to the service's own executor, and enters the handler's executor from there: posted directly, `use_future`
    /// would need a thread.
    void post(std::error_code ec, Result result) { held_.release()->post(ec, std::move(result)); }

    /// Whether the handler's executor is the service's own. If so, a function that runs there may call `run`.
    bool runs_in_service() const { return held_->in_service; }
    /// Calls the handler directly. Only once.
    void run(std::error_code ec, Result result) { held_.release()->run(ec, std::move(result)); }

private:
    struct Base {
        virtual void post(std::error_code ec, Result&& result) = 0;  // destroys the object
        virtual void run(std::error_code ec, Result&& result) = 0;   // destroys the object
        virtual void destroy() = 0;
        bool in_service;

    protected:
        explicit Base(bool here) : in_service{here} {}
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
struct CompletionHandler<Result>::Held final : Base {
    using Executor = asio::associated_executor_t<Handler, asio::any_io_executor>;
    using Allocator =
        typename std::allocator_traits<asio::associated_allocator_t<Handler>>::template rebind_alloc<Held>;
    using Traits = std::allocator_traits<Allocator>;

    static constexpr bool explains = requires { typename Handler::explains_failures; };

    Handler handler;
    Translate translate;
    asio::any_io_executor own;
    asio::executor_work_guard<Executor> work;

    Held(Handler&& h, const Executor& executor, const asio::any_io_executor& service, Translate&& t)
        : Base{is_same(executor, service)},
          handler{std::move(h)},
          translate{std::move(t)},
          own{service},
          work{executor} {}

    static bool is_same(const Executor& executor, const asio::any_io_executor& service) {
        if constexpr (std::is_same_v<Executor, asio::any_io_executor>)
            return executor == service;
        else
            return false;
    }

    static Held* make(Handler&& handler, const asio::any_io_executor& service, Translate&& translate) {
        Allocator allocator{asio::get_associated_allocator(handler)};
        Executor executor = asio::get_associated_executor(handler, service);
        auto* room = Traits::allocate(allocator, 1);  // nothing below throws: moving a handler does not throw
        return ::new (static_cast<void*>(room)) Held{std::move(handler), executor, service, std::move(translate)};
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
            complete(h, t, ec, std::move(r));
        };
        auto enter = [busy = std::move(work), allocator, c = std::move(call)]() mutable {
            auto executor = busy.get_executor();
            asio::dispatch(executor, asio::bind_allocator(allocator, std::move(c)));
        };
        destroy();  // frees the memory before the handler runs, so that its next call can use it
        asio::post(step, asio::bind_allocator(allocator, std::move(enter)));
    }

    void run(std::error_code ec, Result&& result) override {
        const auto busy = std::move(work);
        auto h = std::move(handler);
        auto t = std::move(translate);
        destroy();
        complete(h, t, ec, std::move(result));
    }

    static void complete(Handler& h, Translate& t, std::error_code ec, Result&& result) {
        using Value = std::invoke_result_t<Translate&, std::error_code&, Result&&>;
        std::string why;
        if constexpr (explains)
            if (ec) why = FailureText<Result>::take(result);
        if constexpr (std::is_void_v<Value>) {
            t(ec, std::move(result));
            finish(h, ec, why);
        } else {
            Value value = t(ec, std::move(result));
            finish(h, ec, why, std::move(value));
        }
    }
    template <typename... Values>
    static void finish(Handler& h, std::error_code ec, const std::string& why, Values... values) {
        if constexpr (explains) h.explained(ec, why, std::move(values)...);
        else std::move(h)(ec, std::move(values)...);
    }
};

/// Completions that are due at the same time. Those whose handlers run on the service's own executor share one posted
/// function, which costs less than one for each. Owned by a call table and by the posted function.
template <typename Result>
class DueCompletions : public std::enable_shared_from_this<DueCompletions<Result>> {
public:
    void add(CompletionHandler<Result> completion, std::error_code ec, Result result) {
        if (!completion.runs_in_service()) return completion.post(ec, std::move(result));
        due_.push_back({std::move(completion), ec, std::move(result)});
    }
    /// Posts a function that runs all that were added. They never run from within this call.
    void post(const asio::any_io_executor& service) {
        if (due_.size() == done_ || std::exchange(posted_, true)) return;
        asio::post(service, Step{this->shared_from_this(), service});
    }

    /// Runs all that were added. The caller runs on the service's executor and within no call of the host.
    ///
    /// It posts the rest before it calls a handler: the handler may throw, stop its context, or run it itself. The rest
    /// must run in each of these cases.
    void run(const asio::any_io_executor& service) {
        const auto* in_context = service.target<asio::io_context::executor_type>();
        while (done_ < due_.size()) {
            if (in_context && in_context->context().stopped()) return post(service);
            auto next = std::move(due_[done_++]);
            if (done_ == due_.size()) {
                due_.clear();
                done_ = 0;
            }
            post(service);
            next.completion.run(next.ec, std::move(next.result));
        }
    }

private:
    struct Due {
        CompletionHandler<Result> completion;
        std::error_code ec;
        Result result;
    };

    // The posted function. If the executor is destroyed before it ran, it destroys the handlers, because one of them
    // may own this object (a cycle).
    class Step {
    public:
        Step(std::shared_ptr<DueCompletions> due, asio::any_io_executor service)
            : due_{std::move(due)}, service_{std::move(service)} {}
        Step(Step&&) noexcept = default;
        Step& operator=(Step&&) = delete;
        ~Step() {
            if (due_) due_->drop();
        }
        void operator()() {
            const auto due = std::exchange(due_, nullptr);
            due->posted_ = false;
            due->run(service_);
        }

    private:
        std::shared_ptr<DueCompletions> due_;
        asio::any_io_executor service_;
    };

    void drop() {
        posted_ = false;
        done_ = 0;
        const auto dropped = std::exchange(due_, {});
    }

    std::vector<Due> due_;
    std::size_t done_ = 0;
    bool posted_ = false;
};

}  // namespace understudy::detail
