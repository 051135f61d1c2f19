// An operator's questions under way, as `Admin` sees them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include <understudy/core/call_id.hpp>
#include <understudy/core/message.hpp>
#include <understudy/core/types.hpp>
#include <understudy/detail/call_table.hpp>
#include <understudy/event.hpp>
#include <understudy/core/config.hpp>
#include <understudy/runtime/erased_transport.hpp>
#include <understudy/runtime/node.hpp>

namespace understudy::detail {

template <>
struct FailureText<Message> {
    static std::string take(Message& message) {
        auto* failure = std::get_if<Failure>(&message);
        return failure ? std::move(failure->text) : std::string{};
    }
};

/// A question. One that may be repeated is asked again when no answer comes, or the connection ends.
struct Question {
    Address to;
    Method method = Method::none;
    Message message;
    Duration timeout = Duration::max();
    bool repeatable = true;
};

using Watcher = std::function<void(const ViewInfo&)>;
struct Watch {
    Address view_service;
    std::string group;
    Watcher watcher;
};

class AdminNode : public Node {
public:
    CallTable<Message> calls;

    virtual void start(std::uint64_t key, Question question) = 0;
    virtual void start(std::uint64_t key, Watch watch) = 0;
    virtual void cancel(std::uint64_t key) = 0;
};

/// A template for the reason of `make_client_node`.
template <typename Lazy = void>
std::shared_ptr<AdminNode> make_admin_node(std::unique_ptr<TransportBase> transport, Observer observer);

}  // namespace understudy::detail

#if !defined(UNDERSTUDY_SEPARATE_COMPILATION)
#include <understudy/runtime/admin_node.ipp>
#endif
