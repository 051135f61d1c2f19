// A server of a simulated cluster: with a journal on a simulated disk, or without.
#pragma once

#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>

#include <understudy/pb_service.hpp>
#include <understudy/sim/journal.hpp>
#include <understudy/sim/transport.hpp>

namespace understudy::sim {

/// What the two have in common, see `PBService`.
template <Store S>
class Server {
public:
    Server(S store, SimTransport transport, ReplicaOptions options, Observer observer)
        : service_{std::in_place_type<Forgetful>, std::move(store), std::move(transport), std::move(options),
                   std::move(observer)} {}
    Server(S store, SimTransport transport, DiskJournal journal, ReplicaOptions options, Observer observer)
        : service_{std::in_place_type<Durable>,  std::move(store),   std::move(transport), std::move(journal),
                   std::move(options), std::move(observer)} {}

    template <typename Handler>
    void async_run(Handler handler) {
        std::visit([&](auto& one) { one.async_run(std::move(handler)); }, service_);
    }
    template <typename Handler>
    void async_leave(Duration patience, Handler handler) {
        std::visit([&](auto& one) { one.async_leave(patience, std::move(handler)); }, service_);
    }
    bool serving() const {
        return std::visit([](const auto& one) { return one.serving(); }, service_);
    }
    const ViewInfo& view() const { return rules().view(); }
    ReplicaStatusResult status() const {
        return std::visit([](const auto& one) { return one.status(); }, service_);
    }
    const S& store() const {
        return std::visit([](const auto& one) -> const S& { return one.store(); }, service_);
    }
    const ReplicaRules<wire::TypedStore<S>>& rules() const {
        return std::visit([](const auto& one) -> const auto& { return one.rules(); }, service_);
    }

private:
    using Forgetful = PBService<S, SimTransport>;
    using Durable = PBService<S, SimTransport, DiskJournal>;

    std::variant<Forgetful, Durable> service_;
};

}  // namespace understudy::sim
