// The common base of running services and clients, and the handle by which the public classes own one.
#pragma once

#include <memory>
#include <system_error>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>

#include <understudy/async/initiate.hpp>
#include <understudy/async/thread_check.hpp>
#include <understudy/base/config.hpp>
#include <understudy/view.hpp>

namespace understudy::detail {

class Node : public std::enable_shared_from_this<Node> {
public:
    Node() = default;
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;
    virtual ~Node() = default;

    ThreadCheck threads;

    virtual asio::any_io_executor executor() = 0;
    virtual Address local() const = 0;
    /// Returns the coroutine of an `async_run`. It ends with an error if the loop is already running, or was stopped
    /// before.
    virtual asio::awaitable<void> begin_run() = 0;
    /// Ends the loop for good. `by` is the error with which it ends, if any.
    virtual void stop(std::error_code by = {}) = 0;
    /// Called when the last handle is gone, so that only the loop still owns this object.
    virtual void abandoned() { stop(); }
};

/// Makes the coroutine of an `async_run` when the operation is initiated.
struct MakeRun {
    std::shared_ptr<Node> node;
    asio::awaitable<void> operator()() const { return node->begin_run(); }
};

template <typename Token>
auto async_run(std::shared_ptr<Node> node, Token&& token) {
    auto executor = node->executor();
    return async_spawn(std::move(executor), MakeRun{std::move(node)}, std::forward<Token>(token));
}

/// Owns a node, and stops it in the destructor. The loop, which owns the node too, then ends by itself.
template <typename N>
class Handle {
public:
    explicit Handle(std::shared_ptr<N> node) : node_{std::move(node)} {}
    Handle(Handle&&) noexcept = default;
    Handle& operator=(Handle&& other) noexcept {
        auto old = std::exchange(node_, std::move(other.node_));
        if (old && old != node_) old->abandoned();
        return *this;
    }
    ~Handle() {
        if (node_) node_->abandoned();
    }
    N* operator->() const { return node_.get(); }
    const std::shared_ptr<N>& share() const { return node_; }

private:
    std::shared_ptr<N> node_;
};

}  // namespace understudy::detail
