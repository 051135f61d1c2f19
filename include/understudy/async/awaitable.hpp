// Asio's coroutines. Where Asio sees none, its header is empty, and each use of it would be an error of its own.
#pragma once

#include <asio/awaitable.hpp>

#if !defined(ASIO_HAS_CO_AWAIT)
#error "Asio sees no coroutines. They need C++20; Clang and Asio before 1.26: ASIO_HAS_CO_AWAIT, ASIO_HAS_STD_COROUTINE"
#endif
