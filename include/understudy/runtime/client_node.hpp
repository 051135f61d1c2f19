// The interface of a running client, as `Client` and `Clerk` use it. The implementation is in client_node.ipp.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <asio/awaitable.hpp>

#include <understudy/base/config.hpp>
#include <understudy/event.hpp>
#include <understudy/options.hpp>
#include <understudy/runtime/call_table.hpp>
#include <understudy/runtime/erased_transport.hpp>
#include <understudy/runtime/node.hpp>
#include <understudy/runtime/typed_call.hpp>
#include <understudy/view.hpp>

namespace understudy::detail {

struct ExecuteCall {
    CallText command;
    std::optional<Duration> give_up_after{};
    bool only_reads() const { return false; }
};
struct QueryCall {
    CallText query;
    std::optional<Duration> give_up_after{};
    bool only_reads() const { return true; }
};
struct DumpCall {
    std::optional<Position> at{};
    std::uint64_t chunk = 0;
    bool only_reads() const { return true; }
};

class ClientNode : public Node {
public:
    CallTable<Answer> calls;

    virtual void start(std::uint64_t key, ExecuteCall&& call) = 0;
    virtual void start(std::uint64_t key, QueryCall&& call) = 0;
    virtual void start(std::uint64_t key, DumpCall call) = 0;
    virtual void cancel(std::uint64_t key) = 0;
    /// An empty text for the next command, with the memory of a former one if there is any.
    virtual std::string text_buffer() = 0;

    /// Stops in good order: the loop continues for a short time to close the session.
    virtual void leave() = 0;
    /// Asks for the view and follows its changes.
    virtual void follow() = 0;
    virtual const ViewInfo& view() const = 0;
};

/// Throws `std::system_error` with `error::invalid_options`. It is a template so that in the header-only form only
/// those translation units compile it that use it.
template <typename Lazy = void>
std::shared_ptr<ClientNode> make_client_node(std::unique_ptr<TransportBase> transport, const ClientOptions& options,
                                             Observer observer);

/// Exports a snapshot of the store, piece by piece.
template <typename Lazy = void>
asio::awaitable<Position> dump(std::shared_ptr<ClientNode> node, std::function<void(std::string_view)> sink);

/// Calls `dump` when the operation is initiated.
struct MakeDump {
    std::shared_ptr<ClientNode> node;
    std::function<void(std::string_view)> sink;
    template <typename Lazy = void>
    asio::awaitable<Position> operator()() {
        return dump<Lazy>(std::move(node), std::move(sink));
    }
};

}  // namespace understudy::detail

#if !defined(UNDERSTUDY_SEPARATE_COMPILATION)
#include <understudy/runtime/client_node.ipp>
#endif
