// Looks into an `any_io_executor`.
#pragma once

#include <typeinfo>

#include <asio/any_io_executor.hpp>

namespace understudy::detail {

/// The executor of type `Executor` that `executor` holds; null if it holds another type. Asio 1.22 does not check the
/// type: its `target` gives a strand for an executor of the context, and what is posted there does not run in the
/// strand. Null as well where Asio has no type information (`ASIO_NO_TYPEID`).
template <typename Executor>
const Executor* target_of(const asio::any_io_executor& executor) {
#if defined(ASIO_NO_TYPEID)
    static_cast<void>(executor);
    return nullptr;
#else
    return executor.target_type() == typeid(Executor) ? executor.target<Executor>() : nullptr;
#endif
}

}  // namespace understudy::detail
