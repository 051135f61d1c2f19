// The systems that are measured over one kind of sockets: each once in every round, in a new order.
#pragma once

#include <stdlib.h>

#include <algorithm>
#include <compare>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/bench/ours.hpp"
#include "tests/bench/prototype/group.hpp"
#include "tests/bench/raw.hpp"
#include "tests/bench/redis.hpp"

namespace understudy::bench {

struct Turns {
    int rounds = 5;
    double seconds = 0.7;       ///< Of each measurement.
    double most_foreign = 0.1;  ///< Rounds in which other processes use more than this share of a CPU are repeated,
    int most_repeated = 3;      ///< but no more than so many for each that counts.
    bool raw = true, prototype = true, redis = true;  ///< Which systems to measure besides this library.
};

/// A system that takes a turn in each round, and its operation.
struct Entrant {
    System system = System::ours;
    Operation operation = Operation::put;
    auto operator<=>(const Entrant&) const = default;
};
/// The operation of another system that is compared with this operation of the library: the relay has writes only, the
/// prototype and Redis have one kind of read.
constexpr Entrant peer(System system, Operation operation) {
    if (system == System::ours) return {system, operation};
    if (reads(operation)) return {system, Operation::get};
    return {system, system == System::raw ? Operation::put : operation};
}

struct Rounds {
    std::map<Entrant, std::vector<Sample>> samples;
    int disturbed = 0;  ///< In so many of them others used the machine.
};

class Bench {
public:
    /// Starts the groups that these operations need.
    Bench(Network network, const Turns& turns, const std::vector<Operation>& operations)
        : network_{network}, turns_{turns} {
        folder_ = std::filesystem::temp_directory_path() / "pb_bench_XXXXXX";
        if (!mkdtemp(folder_.data())) fail("mkdtemp");
        for (const auto reads : {Reads::confirm, Reads::lease}) {
            const auto fits = [&](Operation it) { return reads_of(it) == reads; };
            if (std::ranges::none_of(operations, fits)) continue;
            auto folder = folder_ + (reads == Reads::lease ? "/lease" : "/confirm");
            std::filesystem::create_directory(folder);
            ReplicaOptions replica;
            replica.reads = reads;
            ours_[reads] = std::make_unique<Group>(network, folder, replica);
        }
        if (turns.prototype) prototype_ = std::make_unique<PrototypeGroup>(network, folder_);
        if (turns.redis) redis_ = std::make_unique<RedisGroup>(network, folder_);
        warm_up();
    }
    ~Bench() {
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }

    /// Measures these operations with this shape.
    Rounds measure(const Shape& shape, const std::vector<Operation>& operations) {
        std::unique_ptr<RawGroup> raw;
        std::set<Entrant> all;
        for (const auto operation : operations) {
            all.insert({System::ours, operation});
            if (turns_.raw && !reads(operation)) all.insert(peer(System::raw, operation));
            if (prototype_) all.insert(peer(System::prototype, operation));
            if (redis_) all.insert(peer(System::redis, operation));
            if (redis_ && shape.in_flight > 1) all.insert(peer(System::redis_batch, operation));
        }
        if (std::ranges::any_of(all, [](const Entrant& it) { return it.system == System::raw; }))
            raw = std::make_unique<RawGroup>(network_, folder_, RawSizes{shape.bytes});
        // Twice, so that the logs are full of values of this length.
        for (int i = 0; i < 2; ++i) fill(shape.bytes, 1);
        Rounds rounds;
        std::vector<Entrant> order(all.begin(), all.end());
        for (int round = 0, dropped = 0; round < turns_.rounds;) {
            std::ranges::shuffle(order, random_);
            std::map<Entrant, Sample> samples;
            for (const auto& entrant : order) samples[entrant] = measure(entrant, shape, raw.get());
            const bool disturbed = std::ranges::any_of(samples, [&](const auto& it) {
                return it.second.foreign_cpu / it.second.seconds > turns_.most_foreign;
            });
            if (disturbed && ++dropped <= turns_.most_repeated * turns_.rounds) continue;
            if (disturbed) ++rounds.disturbed;
            for (const auto& [entrant, sample] : samples) rounds.samples[entrant].push_back(sample);
            ++round;
        }
        if (prototype_) prototype_->check(shape.bytes);
        std::error_code ignored;
        for (const char* name : {"/raw", "/raw_backup"}) std::filesystem::remove(folder_ + name, ignored);
        return rounds;
    }

private:
    // Until a server's log has its full length, each write touches memory that the process did not have before. What
    // the kernel, and where the machine is a virtual one its host, need for that can be more than the write itself.
    void warm_up() {
        fill(Shape{}.bytes, 400);  // what these take of a log is more than `log_bytes`
        for (int i = 0; redis_ && redis_->backlog() < RedisGroup::most_backlog && i < 100; ++i) redis_->fill(1u << 20);
    }
    void fill(std::size_t bytes, std::size_t times) {
        for (const auto& [reads, group] : ours_) group->fill(bytes, times);
        if (prototype_) prototype_->fill(bytes, times);
        if (redis_) redis_->fill(bytes);
    }

    static Reads reads_of(Operation it) { return it == Operation::get_lease ? Reads::lease : Reads::confirm; }

    Sample measure(const Entrant& entrant, Shape shape, const RawGroup* raw) const {
        shape.operation = entrant.operation;
        const auto system = entrant.system;
        if (system == System::redis && shape.in_flight > 1) {  // as many Redis clients, because each WAIT blocks one
            shape.connections *= shape.in_flight;
            shape.in_flight = 1;
        }
        const Group* ours = system == System::ours ? ours_.at(reads_of(shape.operation)).get() : nullptr;
        const auto servers = ours                          ? ours->processes()
                             : system == System::raw       ? raw->processes()
                             : system == System::prototype ? prototype_->processes()
                                                           : redis_->processes();
        for (const auto server : servers) pin(server, shape.one_cpu);
        return to_sample(output_of([&](int to) {
            pin(0, shape.one_cpu);
            Meter meter{turns_.seconds, servers};
            switch (system) {
                case System::ours: ours->load(shape, meter); break;
                case System::raw: raw->load(shape, meter); break;
                case System::prototype: prototype_->load(shape, meter); break;
                case System::redis: redis_->load(shape, meter, false); break;
                case System::redis_batch: redis_->load(shape, meter, true); break;
            }
            const auto text = to_text(meter.sample());
            write_all(to, text.data(), text.size());
        }));
    }

    Network network_;
    Turns turns_;
    std::string folder_;
    std::map<Reads, std::unique_ptr<Group>> ours_;
    std::unique_ptr<PrototypeGroup> prototype_;
    std::unique_ptr<RedisGroup> redis_;
    std::mt19937 random_{std::random_device{}()};
};

}  // namespace understudy::bench
