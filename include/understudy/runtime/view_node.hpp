// The interface of a running view service, as `ViewService` uses it. The implementation is in view_node.ipp.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <understudy/base/config.hpp>
#include <understudy/event.hpp>
#include <understudy/options.hpp>
#include <understudy/protocol/message.hpp>
#include <understudy/runtime/erased_transport.hpp>
#include <understudy/runtime/erased_view_store.hpp>
#include <understudy/runtime/node.hpp>
#include <understudy/view.hpp>

namespace understudy::view_service {
class ViewStateMachine;
}

namespace understudy::detail {

class ViewNode : public Node {
public:
    virtual ViewInfo view(std::string_view group) const = 0;
    virtual ViewStatusResult status(const std::optional<std::string>& group) const = 0;
    virtual view_service::ViewRecord record() const = 0;
    virtual const view_service::ViewStateMachine& state_machine() const = 0;
};

// Both throw `std::system_error` with `error::invalid_options`. They are templates for the same reason as
// `make_client_node`.

/// Makes a view service without a store: for a new cluster, or, if `record` is not null, for the cluster of that
/// record.
template <typename Lazy = void>
std::shared_ptr<ViewNode> make_view_node(std::unique_ptr<TransportBase> transport,
                                         const view_service::ViewRecord* record, const ViewOptions& options,
                                         Observer observer);
/// Makes a view service with a store.
template <typename Lazy = void>
std::shared_ptr<ViewNode> make_lasting_view_node(std::unique_ptr<TransportBase> transport,
                                                 std::unique_ptr<ViewStoreBase> store, const ViewOptions& options,
                                                 Observer observer);

}  // namespace understudy::detail

#if !defined(UNDERSTUDY_SEPARATE_COMPILATION)
#include <understudy/runtime/view_node.ipp>
#endif
