// The random choices of a GroupWorld: dice, and options so small that every limit is reached.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <iterator>

#include <understudy/client/backoff.hpp>
#include <understudy/options.hpp>

namespace understudy::test {

using namespace client;

class Dice {
public:
    explicit Dice(std::uint64_t seed) : chance_(seed) {}

    std::uint64_t below(std::uint64_t bound) { return chance_.next() % bound; }
    bool one_in(std::uint64_t n) { return below(n) == 0; }
    template <typename T>
    T pick(std::initializer_list<T> values) {
        return values.begin()[below(values.size())];
    }
    /// The key of a randomly chosen entry.
    template <typename Table>
    auto any(const Table& table) {
        return std::next(table.begin(), static_cast<long>(below(table.size())))->first;
    }

private:
    Prng chance_;
};

inline ReplicaOptions draw_replica_options(Dice& dice) {
    ReplicaOptions options;
    options.view_service = {"v"};
    options.min_in_sync = dice.below(2);
    options.log_bytes = dice.pick<std::size_t>({0, 500, 2000, 1 << 20});
    options.transfer_log_bytes = dice.pick<std::size_t>({0, 3000, 1 << 20});
    options.append_bytes = dice.pick<std::size_t>({1, 300, 1000});
    options.window_bytes = options.append_bytes * dice.pick<std::size_t>({1, 3, 100});
    options.chunk_bytes = dice.pick<std::size_t>({16, 100});
    options.chunk_window = 1 + dice.below(4);
    options.max_calls = dice.pick<std::size_t>({5, 1000});
    options.max_calls_per_peer = dice.pick<std::size_t>({1, 3, 1000});
    options.max_call_bytes = dice.pick<std::size_t>({1000, 1 << 20});
    options.max_sessions = dice.pick<std::size_t>({3, 100});
    options.max_results = dice.pick<std::size_t>({2, 100});
    options.max_dumps = 2;
    options.session_ttl = 2s;
    options.transfer_ttl = dice.pick<Duration>({200ms, 2s});
    options.dump_ttl = 300ms;
    return options;
}

inline ClientOptions draw_clerk_options(Dice& dice) {
    ClientOptions options;
    options.view_service = {"v"};
    options.give_up_after = 4s;
    options.resend_after = 100ms;
    options.window = dice.pick<std::size_t>({1, 4, 50});
    return options;
}

}  // namespace understudy::test
