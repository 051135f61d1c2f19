// A view service at work, as `ViewService` sees it.
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
class ViewRules;
}

namespace understudy::detail {

class ViewNode : public Node {
public:
    virtual ViewInfo view(std::string_view group) const = 0;
    virtual ViewStatusResult status(const std::optional<std::string>& group) const = 0;
    virtual view_service::ViewRecord record() const = 0;
    virtual const view_service::ViewRules& rules() const = 0;
};

// Each throws `std::system_error` with `error::invalid_options`. Templates for the reason of `make_client_node`.

/// Of a new cluster, or of the one whose record that is.
template <typename Lazy = void>
std::shared_ptr<ViewNode> make_view_node(std::unique_ptr<TransportBase> transport,
                                         const view_service::ViewRecord* record, const ViewOptions& options,
                                         Observer observer);
/// One that remembers.
template <typename Lazy = void>
std::shared_ptr<ViewNode> make_lasting_view_node(std::unique_ptr<TransportBase> transport,
                                                 std::unique_ptr<ViewStoreBase> store, const ViewOptions& options,
                                                 Observer observer);

}  // namespace understudy::detail

#if !defined(UNDERSTUDY_SEPARATE_COMPILATION)
#include <understudy/runtime/view_node.ipp>
#endif
