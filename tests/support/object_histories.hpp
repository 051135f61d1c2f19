// Random histories of clients of one atomic key/value store, and a checker that is too simple to be wrong.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <understudy/kv_store.hpp>
#include <understudy/sim/check/kv_model.hpp>
#include <understudy/sim/check/linearizability.hpp>
#include <understudy/sim/world/random.hpp>

namespace understudy::test {

using KvOperations = std::vector<sim::OperationOf<sim::KvModel>>;

struct HistoryShape {
    std::size_t clients = 3;
    std::size_t operations = 6;
    std::size_t keys = 1;
    /// Probability, per step of a call, that the call is left open; it may take effect much later.
    double abandoned = 0.05;
    bool only_registers = false;  ///< Only gets, and puts of values that are all different.
    bool claims = false;          ///< Answers carry their place in the order of the store.
};

/// Each call takes effect at one instant between its beginning and its end, so the resulting history is linearizable.
class AtomicClients {
public:
    AtomicClients(sim::Random& random, HistoryShape shape)
        : random_{random}, shape_{shape}, calls_(shape.clients), left_{shape.operations} {}

    KvOperations run() {
        while (left_ > 0 || std::any_of(calls_.begin(), calls_.end(), [](auto& call) { return call.has_value(); }))
            step(static_cast<std::size_t>(random_.below(calls_.size())));
        return history_.operations();
    }

private:
    struct Call {
        sim::HistoryOf<sim::KvModel>::Id id;
        sim::KvModel::Input input;
        std::optional<kv::Reply> reply{};
        sim::Claim claim{};
    };

    void step(std::size_t client) {
        auto& call = calls_[client];
        now_ += Duration{random_.below(3) * 1'000'000};
        if (!call) {
            if (left_ > 0) begin(client);
        } else if (random_.chance(shape_.abandoned)) {
            history_.leave_open(call->id);
            if (!call->reply) late_.push_back(std::move(*call));
            call.reset();
        } else if (!call->reply && random_.chance(shape_.abandoned)) {
            history_.no_effect(call->id);
            call.reset();
        } else if (!call->reply) {
            take_effect(*call);
        } else {
            const auto ended = *std::exchange(call, {});
            history_.answer(ended.id, *ended.reply, now_, shape_.claims ? std::optional{ended.claim} : std::nullopt);
        }
        if (!late_.empty() && random_.chance(0.1)) {
            take_effect(late_.back());
            late_.pop_back();
        }
    }

    void begin(std::size_t client) {
        --left_;
        auto input = any_input();
        const auto id = history_.begin(std::string(1, static_cast<char>('a' + client)), input, now_);
        calls_[client] = Call{id, std::move(input)};
    }

    void take_effect(Call& call) {
        if (call.input.index() == 0)
            call.reply = store_.apply(std::get<0>(call.input)), ++changes_;
        else
            call.reply = store_.query(std::get<1>(call.input));
        call.claim = {changes_, call.input.index() != 0};
    }

    sim::KvModel::Input any_input() {
        const std::string key(1, static_cast<char>('x' + random_.below(shape_.keys)));
        if (shape_.only_registers) {
            if (random_.chance(0.5)) return kv::Command{kv::Put{key, std::to_string(++values_)}};
            return kv::Query{kv::Get{key}};
        }
        const std::string value = random_.chance(0.5) ? "1" : "2";
        switch (random_.below(6)) {
            case 0: return kv::Command{kv::Put{key, value}};
            case 1: return kv::Command{kv::Append{key, value}};
            case 2: return kv::Command{kv::Erase{key}};
            case 3:
                if (random_.chance(0.5)) return kv::Command{kv::Cas{key, value, {}}};
                return kv::Command{kv::Cas{key, value, value == "1" ? "2" : "1"}};
            default: return kv::Query{kv::Get{key}};
        }
    }

    sim::Random& random_;
    HistoryShape shape_;
    std::vector<std::optional<Call>> calls_;
    std::vector<Call> late_;
    std::size_t left_;
    std::size_t values_ = 0;
    Time now_{};
    KvStore store_;
    std::uint64_t changes_ = 0;
    sim::HistoryOf<sim::KvModel> history_;
};

/// Tries every order that agrees with the claimed places. Only for a few operations on one key.
inline bool some_order_explains(const KvOperations& left, const sim::KvModel& model, const sim::KvModel::State& state) {
    if (std::all_of(left.begin(), left.end(), [](auto& operation) { return operation.open(); })) return true;
    for (std::size_t i = 0; i < left.size(); ++i) {
        const bool too_late = std::any_of(left.begin(), left.end(), [&](const auto& other) {
            if (other.open()) return false;
            return other.returned < left[i].called || (other.claim && left[i].claim && *other.claim < *left[i].claim);
        });
        auto next = state;
        if (too_late || !model.step(next, left[i].input, left[i].open() ? nullptr : &*left[i].output)) continue;
        auto rest = left;
        rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(i));
        if (some_order_explains(rest, model, next)) return true;
    }
    return false;
}
inline bool some_order_explains(const KvOperations& operations) {
    return some_order_explains(operations, sim::KvModel{}, {});
}

/// Replaces one answer by another that this kind of operation could have.
inline void falsify(KvOperations& operations, sim::Random& random) {
    std::vector<std::size_t> answered;
    for (std::size_t i = 0; i < operations.size(); ++i)
        if (!operations[i].open()) answered.push_back(i);
    if (answered.empty()) return;
    auto& output = *operations[random.pick(answered)].output;
    if (const auto* value = std::get_if<std::string>(&output)) {
        if (random.chance(0.3))
            output = std::monostate{};
        else
            output = *value == "1" ? "2" : "1";
    } else if (auto* length = std::get_if<std::uint64_t>(&output)) {
        ++*length;
    } else if (auto* existed = std::get_if<bool>(&output)) {
        *existed = !*existed;
    } else if (auto* cas = std::get_if<kv::CasResult>(&output)) {
        cas->ok = !cas->ok;
    } else {
        output = "1";
    }
}

}  // namespace understudy::test
