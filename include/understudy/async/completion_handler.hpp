// A type-erased completion handler, as a table of pending calls stores it. Asio 1.22 has no any_completion_handler;
// this has those parts of it that the services need.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <optional>
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

#include <understudy/async/executor_target.hpp>
#include <understudy/base/recycled_memory.hpp>

namespace understudy::detail {

/// Extracts the human-readable cause from the result of a failed call. Specialized for result types that have one.
template <typename Result>
struct FailureText {
    static std::string take(Result&) { return {}; }
};

/// The executor through which a handler runs, and which it keeps busy until then: its own if it has one, otherwise that
/// of the service. The service's own executor needs no care, since a service keeps it busy as long as calls are
/// pending: its loop waits there, and what was posted to it is work.
template <typename Handler>
class HandlerExecutor {
public:
    HandlerExecutor(const Handler& handler, const asio::any_io_executor& service) {
        if constexpr (has_own) {
            const Executor executor = asio::get_associated_executor(handler, service);
            if (!is_same(executor, service)) work_.emplace(executor);
        }
    }

    /// Whether it is the service's own.
    bool is_service() const { return !work_; }
    /// Calls a function through the executor. Runs in the service's own.
    template <typename Allocator, typename Function>
    void enter(const Allocator& allocator, Function&& function) {
        if (!work_) return std::move(function)();
        if constexpr (has_own) {
            const auto executor = work_->get_executor();
            asio::dispatch(executor, asio::bind_allocator(allocator, std::move(function)));
        }
    }

private:
    using Executor = asio::associated_executor_t<Handler, asio::any_io_executor>;
    // A handler without an executor of its own gets whatever type is offered, also one that is no executor.
    struct Nothing {};
    static constexpr bool has_own = !std::is_same_v<asio::associated_executor_t<Handler, Nothing>, Nothing>;

    static bool is_same(const Executor& executor, const asio::any_io_executor& service) {
        if constexpr (std::is_same_v<Executor, asio::any_io_executor>)
            return executor == service;
        else
            return false;
    }

    std::optional<asio::executor_work_guard<Executor>> work_;
};

/// Completes a handler of `void(std::error_code, T)`, or of `void(std::error_code)`. The value is what `T
/// translate(std::error_code&, Result&&)` makes of a `Result`; `translate` may also turn success into an error. Its
/// memory comes from the handler's allocator, or from `memory` if the handler has none of its own; `memory` must then
/// outlive it.
template <typename Result>
class CompletionHandler {
public:
    CompletionHandler() = default;

    template <typename Handler, typename Translate>
    CompletionHandler(Handler handler, const asio::any_io_executor& service, Translate translate,
                      RecycledMemory* memory = nullptr)
        : held_{Held<Handler, Translate>::make(std::move(handler), service, std::move(translate), memory)} {}

    explicit operator bool() const { return held_ != nullptr; }

    /// Passes the outcome to the handler through the handler's executor, never from within this call. Only once. It
    /// posts to the service's own executor, and enters the handler's executor from there: posted directly, `use_future`
    /// would need a thread. `service` is the executor that the constructor got.
    void post(const asio::any_io_executor& service, std::error_code ec, Result&& result) {
        held_.release()->post(service, ec, std::move(result));
    }

    /// Whether the handler's executor is the service's own. If so, a function that runs there may call `run`.
    bool runs_in_service() const { return held_->in_service; }
    /// Calls the handler directly. Only once.
    void run(std::error_code ec, Result&& result) { held_.release()->run(ec, std::move(result)); }

private:
    struct Base {
        // Each destroys the object.
        virtual void post(const asio::any_io_executor& service, std::error_code ec, Result&& result) = 0;
        virtual void run(std::error_code ec, Result&& result) = 0;
        virtual void destroy() = 0;
        bool in_service = false;

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
struct CompletionHandler<Result>::Held final : Base {
    using Allocator =
        typename std::allocator_traits<asio::associated_allocator_t<Handler>>::template rebind_alloc<Held>;
    using Traits = std::allocator_traits<Allocator>;

    static constexpr bool explains = requires { typename Handler::explains_failures; };

    // Whether the handler has no allocator of its own, and this object needs no more than a plain block.
    static constexpr bool plain =
        std::is_same_v<Allocator, std::allocator<Held>> && alignof(Held) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__;

    HandlerExecutor<Handler> executor;
    RecycledMemory* memory;
    Handler handler;
    Translate translate;

    Held(Handler&& h, const asio::any_io_executor& service, Translate&& t, RecycledMemory* m)
        : Base{}, executor{h, service}, memory{m}, handler{std::move(h)}, translate{std::move(t)} {
        this->in_service = executor.is_service();
    }

    static Held* make(Handler&& handler, const asio::any_io_executor& service, Translate&& translate,
                      RecycledMemory* memory) {
        Allocator allocator{asio::get_associated_allocator(handler)};
        void* const room = plain && memory ? memory->allocate(sizeof(Held)) : Traits::allocate(allocator, 1);
        return ::new (room) Held{std::move(handler), service, std::move(translate), memory};  // moves do not throw
    }

    void destroy() override {
        Allocator allocator{asio::get_associated_allocator(handler)};
        auto* const from = memory;
        std::destroy_at(this);
        if (plain && from) from->deallocate(this, sizeof(Held));
        else Traits::deallocate(allocator, this, 1);
    }

    void post(const asio::any_io_executor& service, std::error_code ec, Result&& result) override {
        auto allocator = asio::get_associated_allocator(handler);
        auto call = [h = std::move(handler), t = std::move(translate), ec, r = std::move(result)]() mutable {
            complete(h, t, ec, std::move(r));
        };
        auto enter = [through = std::move(executor), allocator, c = std::move(call)]() mutable {
            through.enter(allocator, std::move(c));
        };
        destroy();  // frees the memory before the handler runs, so that its next call can use it
        asio::post(service, asio::bind_allocator(allocator, std::move(enter)));
    }

    void run(std::error_code ec, Result&& result) override {
        const auto busy = std::move(executor);
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
    explicit DueCompletions(asio::any_io_executor service)
        : service_{std::move(service)}, io_{target_of<asio::io_context::executor_type>(service_)} {}

    const asio::any_io_executor& service() const { return service_; }

    /// A handler for a call that is pending. What is returned must not outlive this object.
    template <typename Handler, typename Translate>
    CompletionHandler<Result> hold(Handler handler, Translate translate) {
        return {std::move(handler), service_, std::move(translate), &memory_};
    }
    void add(CompletionHandler<Result> completion, std::error_code ec, Result&& result) {
        if (!completion.runs_in_service()) return completion.post(service_, ec, std::move(result));
        due_.push_back({std::move(completion), ec, std::move(result)});
    }
    /// Posts a function that runs all that were added. They never run from within this call.
    void post() {
        if (due_.size() == done_ || posted_) return;
        posted_ = true;
        // Directly, the executor takes a function for a third of what it takes behind the type that erases it.
        if (io_) asio::post(*io_, Step{this->shared_from_this()});
        else asio::post(service_, Step{this->shared_from_this()});
    }

    /// Runs all that were added. The caller runs on the service's executor and within no call of the host.
    ///
    /// It posts the rest before it calls a handler: the handler may throw, stop its context, or run it itself. The rest
    /// must run in each of these cases.
    void run() {
        for (bool first = true; done_ < due_.size(); first = false) {
            if (!first && io_ && io_->context().stopped()) return post();
            auto next = std::move(due_[done_++]);
            if (done_ == due_.size()) {
                due_.clear();
                done_ = 0;
            }
            post();
            next.completion.run(next.ec, std::move(next.result));
        }
    }

private:
    struct Due {
        CompletionHandler<Result> completion;
        std::error_code ec;
        Result result;
    };

    // The memory of the posted function. Asio gives it back before it calls or destroys the function, which owns it.
    template <typename T = void>
    struct Memory {
        using value_type = T;

        RecycledMemory* from;

        explicit Memory(RecycledMemory& memory) : from{&memory} {}
        template <typename U>
        Memory(const Memory<U>& other) : from{other.from} {}

        T* allocate(std::size_t count) {
            static_assert(alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
            return static_cast<T*>(from->allocate(count * sizeof(T)));
        }
        void deallocate(T* memory, std::size_t count) noexcept { from->deallocate(memory, count * sizeof(T)); }

        template <typename U>
        friend bool operator==(const Memory& a, const Memory<U>& b) {
            return a.from == b.from;
        }
    };

    // The posted function. If the executor is destroyed before it ran, it destroys the handlers, because one of them
    // may own this object (a cycle).
    class Step {
    public:
        using allocator_type = Memory<>;

        explicit Step(std::shared_ptr<DueCompletions> due) : memory_{&due->memory_}, due_{std::move(due)} {}
        Step(Step&&) noexcept = default;
        Step& operator=(Step&&) = delete;
        ~Step() {
            if (due_) due_->drop();
        }
        allocator_type get_allocator() const noexcept { return allocator_type{*memory_}; }
        void operator()() {
            const auto due = std::exchange(due_, nullptr);
            due->posted_ = false;
            due->run();
        }

    private:
        RecycledMemory* memory_;  // that of `due_`, also after this object was moved from
        std::shared_ptr<DueCompletions> due_;
    };

    void drop() {
        posted_ = false;
        done_ = 0;
        const auto dropped = std::exchange(due_, {});
    }

    const asio::any_io_executor service_;
    const asio::io_context::executor_type* const io_;  // the same if it is of this kind, otherwise null
    RecycledMemory memory_;                            // outlives the handlers in `due_`
    std::vector<Due> due_;
    std::size_t done_ = 0;
    bool posted_ = false;
};

}  // namespace understudy::detail
