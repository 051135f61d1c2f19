// The parameters of one measurement: the system, the sockets, and the load of the clients.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace understudy::bench {

/// `raw`: a relay that parses nothing, the upper limit. `prototype`: a bare data path over Asio that writes the
/// library's frames, the limit of what Asio and this protocol allow. `redis`: a Redis with one replica; writes are SET
/// and WAIT 1. `redis_batch`: the best case of Redis, in which all commands of a connection and one WAIT are one write.
enum class System { ours, raw, prototype, redis, redis_batch };
inline constexpr std::array all_systems{System::ours, System::raw, System::prototype, System::redis,
                                        System::redis_batch};
enum class Network { tcp, unix_sockets };
/// `get` is confirmed by a round, `get_lease` needs no message to a backup; both are a GET for Redis, and a read by
/// lease for the prototype.
enum class Operation { put, append, get, get_lease };
inline constexpr std::array all_operations{Operation::put, Operation::append, Operation::get, Operation::get_lease};
constexpr bool reads(Operation it) { return it == Operation::get || it == Operation::get_lease; }

/// `connections` with `in_flight` calls each; values of `bytes`. With `one_cpu` all processes share CPU 0, so that the
/// result is the work done and not the time to wake up another CPU.
struct Shape {
    Network network = Network::tcp;
    Operation operation = Operation::put;
    std::size_t connections = 1;
    std::size_t in_flight = 1;
    std::size_t bytes = 100;
    bool one_cpu = false;

    std::size_t outstanding() const { return connections * in_flight; }
};

constexpr std::string_view to_string(System system) {
    switch (system) {
        case System::ours: return "understudy";
        case System::raw: return "raw relay";
        case System::prototype: return "prototype";
        case System::redis: return "Redis";
        case System::redis_batch: return "Redis, one WAIT";
    }
    return {};
}
constexpr std::string_view to_string(Network network) { return network == Network::tcp ? "TCP" : "Unix"; }
constexpr std::string_view to_string(Operation operation) {
    switch (operation) {
        case Operation::put: return "put";
        case Operation::append: return "append";
        case Operation::get: return "get";
        case Operation::get_lease: return "get_lease";
    }
    return {};
}

inline std::string describe(const Shape& shape) {
    std::string text{to_string(shape.operation)};
    text += ", " + std::string{to_string(shape.network)} + ", " + std::to_string(shape.bytes) + " B, " +
            std::to_string(shape.connections) + " x " + std::to_string(shape.in_flight);
    return shape.one_cpu ? text + ", one CPU" : text;
}

/// The number of keys: few enough to stay in the caches of all systems, and in 32 MiB.
constexpr std::size_t keys(std::size_t bytes) { return std::clamp<std::size_t>((32u << 20) / bytes, 16, 1000); }
inline std::string key(std::size_t n) { return "key" + std::to_string(1000 + n); }

/// The key of call number `n` of a caller: the keys are used in turn, except for appends.
inline std::string key_of(const Shape& shape, std::size_t caller, std::size_t n) {
    if (shape.operation == Operation::append) return "long" + std::to_string(caller);
    return key((caller + 7 * n) % keys(shape.bytes));
}
/// Whether call number `n` of a caller sets the value instead of appending to it: at first, and again where the value
/// would exceed a mebibyte, or two values.
constexpr bool begins_value(const Shape& shape, std::size_t n) {
    return shape.operation == Operation::put || n % std::max<std::size_t>(2, (1u << 20) / shape.bytes) == 0;
}

}  // namespace understudy::bench
