// The clients of a trial: they call without pause, many at a time, give up, die in the middle, and note what they saw.
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
#include <understudy/sim/check/history.hpp>
#include <understudy/sim/check/testimony.hpp>
#include <understudy/sim/soak/workload.hpp>
#include <understudy/sim/world/world.hpp>

namespace understudy::sim {

/// How one client behaves.
struct Habits {
    ClerkOptions options{};
    Duration think = 50ms;    ///< Between two calls, on average.
    std::size_t at_once = 1;  ///< Calls under way; a further one is left out.
    Duration patience_least = 300ms;
    Duration patience_most = 5s;
    double dumps = 0;      ///< The share of calls that read everything there is, as one snapshot.
    double death = 0;      ///< The probability, at each call, that the client dies or ends instead; another follows.
    bool repeats = false;  ///< The network repeats frames: then a refusal does not prove that nothing was done.
};

/// How calls ended.
struct CallCounts {
    std::uint64_t answered = 0;
    std::uint64_t without_effect = 0;
    std::uint64_t unknown = 0;
    std::uint64_t deaths = 0;
    std::uint64_t dumps = 0;
};

/// One client of one group.
template <Workload W>
class Customer {
public:
    using S = typename W::Store;
    using Client = understudy::Client<S, SimTransport>;
    using Input = typename W::Model::Input;

    Customer(World& world, W& workload, Testimony<W>& testimony, std::string name, Habits habits)
        : world_{world},
          workload_{workload},
          testimony_{testimony},
          name_{std::move(name)},
          habits_{std::move(habits)},
          random_{world.random().split(name_)} {
        open();
    }
    Customer(const Customer&) = delete;
    Customer& operator=(const Customer&) = delete;

    const std::string& name() const { return name_; }
    const std::string& group() const { return habits_.options.group; }
    const CallCounts& counts() const { return counts_; }
    std::size_t pending() const { return *pending_; }
    /// How many requests it may have under way.
    std::size_t window() const { return habits_.options.window; }
    /// Whether it has met a view service of another cluster, so that its next call begins anew.
    bool is_misled() const { return misled_; }

    /// Calls from now on until `end`.
    void work(Time end) {
        const auto next = after(world_.now(), random_.exponential(habits_.think));
        if (next >= end) return;
        world_.at(next, [this, end] {
            if (random_.chance(habits_.death))
                random_.chance(0.5) ? die() : leave();
            else if (pending() >= habits_.at_once)
                ;  // left out
            else if (random_.chance(habits_.dumps))
                dump();
            else
                call(workload_.next(random_, name_, ++calls_),
                     random_.between(habits_.patience_least, habits_.patience_most));
            work(end);
        });
    }

    /// Asks for everything there is; `has_read` then says whether all of it was answered.
    void read_everything(Duration patience) {
        to_answer_ = counts_.answered;
        for (std::uint64_t number = 0; auto input = workload_.last(number); ++number) {
            ++to_answer_;
            call(*input, patience);
        }
    }
    bool has_read() const { return counts_.answered >= to_answer_; }

    /// Whatever the workload says is next.
    void call_any(Duration patience) { call(workload_.next(random_, name_, ++calls_), patience); }
    /// One command, if the workload has any.
    void write(Duration patience) {
        for (int tries = 0; tries < 1'000; ++tries)
            if (Input input = workload_.next(random_, name_, ++calls_); input.index() == 0)
                return call(std::move(input), patience);
    }

    void call(Input input, Duration patience) {
        if (std::exchange(misled_, false)) renew();
        const auto id = testimony_.history.begin(name_, input, world_.now());
        ++*pending_;
        // The client may die first; then nobody is told, and the operation stays open.
        auto ended = [this, id, pending = pending_, command = input.index() == 0](std::error_code ec, auto result) {
            --*pending;
            if (pending == pending_) this->ended(id, command, ec, std::move(result));
        };
        if (auto* command = std::get_if<0>(&input))
            client_->async_execute_at(*command, patience, std::move(ended));
        else
            client_->async_query_at(std::get<1>(input), patience, std::move(ended));
    }

    /// Reads a snapshot of everything.
    void dump() {
        if (std::exchange(misled_, false)) renew();
        ++*pending_;
        auto dumped = std::make_shared<Dumped>();
        dumped->newest = testimony_.newest;
        client_->async_dump([dumped](std::string_view piece) { dumped->bytes += piece; },
                            [this, dumped, pending = pending_](std::error_code ec, Position at) {
                                --*pending;
                                if (pending == pending_) this->dumped(ec, std::move(*dumped), at);
                            });
    }

private:
    void open() {
        client_.emplace(world_.network().client(name_), habits_.options);
        pending_ = std::make_shared<std::size_t>(0);
    }
    void die() {
        ++counts_.deaths;
        world_.crash(name_);
        renew();
    }
    /// Ends in good order: what is under way has an unknown outcome, and its session is closed behind that.
    void leave() {
        ++counts_.deaths;
        client_->stop();
        renew();
    }
    void renew() {
        counts_.unknown += *pending_;
        pending_ = nullptr;  // what is still told is not heard
        client_.reset();
        open();
    }

    void ended(typename HistoryOf<typename W::Model>::Id id, bool command, std::error_code ec,
               Result<typename S::Reply> result) {
        if (!ec) {
            ++counts_.answered;
            testimony_.newest = std::max(testimony_.newest, result.at.index);
            return testimony_.history.answer(id, std::move(result.value), world_.now(),
                                             Claim{result.at.index, !command});
        }
        misled_ = misled_ || ec == error::wrong_cluster;  // such a client is of no use any more
        if (command && !is_without_effect(ec)) {
            ++counts_.unknown;
            return testimony_.history.leave_open(id);
        }
        ++counts_.without_effect;
        testimony_.history.no_effect(id);
    }
    void dumped(std::error_code ec, Dumped dump, Position at) {
        misled_ = misled_ || ec == error::wrong_cluster;
        if (ec) return;
        ++counts_.dumps;
        dump.at = at.index;
        dump.ended = testimony_.history.events();
        testimony_.dumps.push_back(std::move(dump));
    }
    /// What the library promises of each error (`Client`).
    bool is_without_effect(std::error_code ec) const {
        if (ec == error::deadline_passed || ec == error::bad_request || ec == error::too_large) return true;
        if (ec == error::overloaded || ec == error::not_enough_replicas || ec == error::wrong_cluster)
            return !habits_.repeats;
        return false;
    }

    World& world_;
    W& workload_;
    Testimony<W>& testimony_;
    std::string name_;
    Habits habits_;
    Random random_;
    std::optional<Client> client_;
    std::shared_ptr<std::size_t> pending_;
    std::uint64_t calls_ = 0;
    std::uint64_t to_answer_ = 0;
    bool misled_ = false;  // it met a view service of another cluster
    CallCounts counts_;
};

}  // namespace understudy::sim
