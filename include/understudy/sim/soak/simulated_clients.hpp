// The simulated clients of a run. They send calls continuously, several at a time, give up after a timeout, and die
// with calls under way. They record each call in the client history, which is checked after the run.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include <asio/error.hpp>

#include <understudy/client.hpp>
#include <understudy/sim/check/client_history.hpp>
#include <understudy/sim/check/history.hpp>
#include <understudy/sim/soak/workload.hpp>
#include <understudy/sim/world/world.hpp>

namespace understudy::sim {

/// The client profile: how one client behaves.
struct ClientProfile {
    ClientOptions options{};
    Duration think = 50ms;    ///< Mean time between two calls.
    std::size_t at_once = 1;  ///< Most calls under way; further ones are skipped.
    // The timeout of each call is drawn between these two.
    Duration timeout_least = 300ms;
    Duration timeout_most = 5s;
    double dumps = 0;      ///< Share of calls that export a whole snapshot.
    double death = 0;      ///< Probability per call that the client dies or stops instead.
    bool repeats = false;  ///< The network repeats frames (see `is_without_effect`).
};

/// Counts of calls by result, and of clients that died.
struct CallCounts {
    std::uint64_t answered = 0;
    std::uint64_t without_effect = 0;
    std::uint64_t unknown = 0;
    std::uint64_t deaths = 0;
    std::uint64_t dumps = 0;
};

/// One client of one group. When it dies, a new client with the same name takes its place.
template <Workload W>
class SimulatedClient {
public:
    using S = typename W::Store;
    using Client = understudy::Client<S, SimTransport>;
    using Input = typename W::Model::Input;

    SimulatedClient(World& world, W& workload, ClientHistory<W>& client_history, std::string name,
                    ClientProfile profile)
        : world_{world},
          workload_{workload},
          client_history_{client_history},
          name_{std::move(name)},
          profile_{std::move(profile)},
          random_{world.random().split(name_)} {
        open();
    }
    SimulatedClient(const SimulatedClient&) = delete;
    SimulatedClient& operator=(const SimulatedClient&) = delete;

    const std::string& name() const { return name_; }
    const std::string& group() const { return profile_.options.group; }
    const CallCounts& counts() const { return counts_; }
    std::size_t pending() const { return *pending_; }
    /// How many requests the client sends before it waits for answers.
    std::size_t window() const { return profile_.options.window; }
    /// Whether it got `wrong_cluster`. Such a client cannot be used any more, so the next call starts with a new one.
    bool is_misled() const { return misled_; }

    /// Starts to send calls at random times, until `end`. Returns at once.
    void work(Time end) {
        const auto next = after(world_.now(), random_.exponential(profile_.think));
        if (next >= end) return;
        world_.at(next, [this, end] {
            if (random_.chance(profile_.death))
                random_.chance(0.5) ? die() : leave();
            else if (pending() >= profile_.at_once)
                ;  // too many calls are under way: skip this one
            else if (random_.chance(profile_.dumps))
                dump();
            else
                call(workload_.next(random_, name_, ++calls_),
                     random_.between(profile_.timeout_least, profile_.timeout_most));
            work(end);
        });
    }

    /// Sends all queries that read the whole state. Returns at once; `has_read` says later whether all were answered.
    void read_everything(Duration timeout) {
        to_answer_ = counts_.answered;
        for (std::uint64_t number = 0; auto input = workload_.last(number); ++number) {
            ++to_answer_;
            call(*input, timeout);
        }
    }
    bool has_read() const { return counts_.answered >= to_answer_; }

    /// Sends the workload's next operation.
    void call_any(Duration timeout) { call(workload_.next(random_, name_, ++calls_), timeout); }
    /// Sends one command. Sends nothing if the workload gives no command in 1,000 tries.
    void write(Duration timeout) {
        for (int tries = 0; tries < 1'000; ++tries)
            if (Input input = workload_.next(random_, name_, ++calls_); input.index() == 0)
                return call(std::move(input), timeout);
    }

    /// Sends one operation with this timeout and records it in the client history.
    void call(Input input, Duration timeout) {
        if (std::exchange(misled_, false)) renew();
        const auto id = client_history_.history.begin(name_, input, world_.now());
        ++*pending_;
        // If the client dies first, `pending_` has been replaced and this result is ignored: the operation stays open,
        // since its outcome is unknown.
        auto ended = [this, id, pending = pending_, command = input.index() == 0](std::error_code ec, auto result) {
            --*pending;
            if (pending == pending_) this->ended(id, command, ec, std::move(result));
        };
        if (auto* command = std::get_if<0>(&input))
            client_->async_execute(*command, timeout, with_position(std::move(ended)));
        else
            client_->async_query(std::get<1>(input), timeout, with_position(std::move(ended)));
    }

    /// Exports a snapshot of the store and records it.
    void dump() {
        if (std::exchange(misled_, false)) renew();
        ++*pending_;
        auto dumped = std::make_shared<Dumped>();
        dumped->newest = client_history_.newest;
        client_->async_dump([dumped](std::string_view piece) { dumped->bytes += piece; },
                            [this, dumped, pending = pending_](std::error_code ec, Position at) {
                                --*pending;
                                if (pending == pending_) this->dumped(ec, std::move(*dumped), at);
                            });
    }

private:
    void open() {
        client_.emplace(world_.network().client(name_), profile_.options);
        pending_ = std::make_shared<std::size_t>(0);
    }
    /// The process dies with its calls under way. Its session stays open on the servers.
    void die() {
        ++counts_.deaths;
        world_.crash(name_);
        renew();
    }
    /// Stops in an orderly way: calls under way have an unknown outcome, and the session is closed after them.
    void leave() {
        ++counts_.deaths;
        client_->stop();
        renew();
    }
    void renew() {
        counts_.unknown += *pending_;
        pending_ = nullptr;  // results of the old client's calls are ignored from now on
        client_.reset();
        open();
    }

    /// Records how a call ended: answered, without effect, or with an unknown outcome. A query that failed counts as
    /// without effect.
    void ended(typename HistoryOf<typename W::Model>::Id id, bool command, std::error_code ec,
               Result<typename S::Reply> result) {
        if (!ec) {
            ++counts_.answered;
            client_history_.newest = std::max(client_history_.newest, result.at.index);
            return client_history_.history.answer(id, std::move(result.value), world_.now(),
                                             Claim{result.at.index, !command});
        }
        misled_ = misled_ || ec == error::wrong_cluster;  // such a client cannot be used any more
        // A failed command may still take effect later, so it stays open in the history. A failed query has none.
        if (command && !is_without_effect(ec)) {
            ++counts_.unknown;
            return client_history_.history.leave_open(id);
        }
        ++counts_.without_effect;
        client_history_.history.no_effect(id);
    }
    void dumped(std::error_code ec, Dumped dump, Position at) {
        misled_ = misled_ || ec == error::wrong_cluster;
        if (ec) return;
        ++counts_.dumps;
        dump.at = at.index;
        dump.ended = client_history_.history.events();
        client_history_.dumps.push_back(std::move(dump));
    }
    /// Whether the library promises that a command which ended with this error had no effect (see `Client`). If the
    /// network repeats frames, a refusal proves nothing: it may answer one copy while the other copy was executed.
    bool is_without_effect(std::error_code ec) const {
        if (ec == error::deadline_passed || ec == error::bad_request || ec == error::too_large) return true;
        if (ec == error::overloaded || ec == error::not_enough_replicas || ec == error::wrong_cluster)
            return !profile_.repeats;
        return false;
    }

    World& world_;
    W& workload_;
    ClientHistory<W>& client_history_;
    std::string name_;
    ClientProfile profile_;
    Random random_;
    std::optional<Client> client_;
    std::shared_ptr<std::size_t> pending_;
    std::uint64_t calls_ = 0;
    std::uint64_t to_answer_ = 0;
    bool misled_ = false;  // it got `wrong_cluster`
    CallCounts counts_;
};

}  // namespace understudy::sim
