// The interface of a running operator client, as `Admin` uses it. The implementation is in admin_node.ipp.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include <understudy/base/config.hpp>
#include <understudy/client/question.hpp>
#include <understudy/event.hpp>
#include <understudy/protocol/call_id.hpp>
#include <understudy/protocol/message.hpp>
#include <understudy/runtime/call_table.hpp>
#include <understudy/runtime/erased_transport.hpp>
#include <understudy/runtime/node.hpp>
#include <understudy/view.hpp>

namespace understudy::detail {

template <>
struct FailureText<Message> {
    static std::string take(Message& message) {
        auto* failure = std::get_if<Failure>(&message);
        return failure ? std::move(failure->text) : std::string{};
    }
};

class AdminNode : public Node {
public:
    CallTable<Message> calls;

    virtual void start(std::uint64_t key, client::Question question) = 0;
    virtual void start(std::uint64_t key, client::Watch watch) = 0;
    virtual void cancel(std::uint64_t key) = 0;
};

/// A template for the same reason as `make_client_node`.
template <typename Lazy = void>
std::shared_ptr<AdminNode> make_admin_node(std::unique_ptr<TransportBase> transport, Observer observer);

}  // namespace understudy::detail

#if !defined(UNDERSTUDY_SEPARATE_COMPILATION)
#include <understudy/runtime/admin_node.ipp>
#endif
