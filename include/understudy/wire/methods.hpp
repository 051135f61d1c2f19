// The table of calls: each method with the types of its request and its result. The encoder finds the method of a
// message here, and the decoder the type of a body.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include <understudy/protocol/call_id.hpp>
#include <understudy/protocol/message.hpp>

namespace understudy::wire {

namespace detail {
/// One row of the table.
template <Method M, typename R, typename A>
struct Call {
    static constexpr Method method = M;
    using Request = R;
    using Result = A;
};

using Calls = std::tuple<
    Call<Method::view_ping, Ping, PingResult>, Call<Method::view_get, ViewGet, ViewResult>,
    Call<Method::view_watch, ViewWatch, ViewResult>, Call<Method::view_status, ViewStatus, ViewStatusResult>,
    Call<Method::view_promote, ViewPromote, ViewResult>, Call<Method::view_force, ViewForce, ViewForceResult>,
    Call<Method::view_adopt, ViewAdopt, ViewForceResult>, Call<Method::view_remove, ViewRemove, ViewResult>,
    Call<Method::pb_open, Open, OpenResult>, Call<Method::pb_execute, Execute, ExecuteResult>,
    Call<Method::pb_close, Close, CloseResult>,
    Call<Method::pb_query, Query, QueryResult>, Call<Method::pb_dump, Dump, DumpResult>,
    Call<Method::pb_status, ReplicaStatus, ReplicaStatusResult>, Call<Method::replica_append, Append, AppendResult>,
    Call<Method::replica_install, Install, InstallResult>>;

/// The method whose request is the message type `M`; `none` if `M` is no request.
template <typename M>
constexpr Method requested_by() {
    return []<typename... C>(std::tuple<C...>*) {
        auto found = Method::none;
        ((std::same_as<M, typename C::Request> ? void(found = C::method) : void()), ...);
        return found;
    }(static_cast<Calls*>(nullptr));
}

/// Calls `use.template operator()<C>()` with the table row `C` of the method, and returns its result. Returns
/// `otherwise` for a method without a row (`none`, `view_changed`).
template <typename R, typename Use>
R with_call(Method method, R otherwise, Use&& use) {
    [&]<typename... C>(std::tuple<C...>*) {
        (void)((C::method == method && (otherwise = use.template operator()<C>(), true)) || ...);
    }(static_cast<Calls*>(nullptr));
    return otherwise;
}
}  // namespace detail

/// A message type that is a request, so it gets an answer.
template <typename M>
concept Request = detail::requested_by<M>() != Method::none;

/// The method of a request or a notification; for an error the method of the request that it answers; empty for a
/// result, because the type of a result does not determine its method.
inline std::string_view method_of(const Message& message) {
    return std::visit(
        []<typename M>(const M& it) -> std::string_view {
            if constexpr (std::same_as<M, ViewChanged>) return to_string(Method::view_changed);
            else if constexpr (std::same_as<M, Failure>) return it.to;
            else return to_string(detail::requested_by<M>());
        },
        message);
}

/// True for a message that gets an answer.
inline bool is_request(const Message& message) {
    return std::visit([]<typename M>(const M&) { return Request<M>; }, message);
}
/// True for a message that has no id and gets no answer.
inline bool is_notification(const Message& message) { return std::holds_alternative<ViewChanged>(message); }
/// True for a result or an error.
inline bool is_response(const Message& message) { return !is_request(message) && !is_notification(message); }

/// The id of the `n`-th call of a node, if that call sends this request (protocol/call_id.hpp).
inline CallId make_id(const Message& request, std::uint64_t n) {
    return make_call_id(find_method(method_of(request)), n);
}

}  // namespace understudy::wire
