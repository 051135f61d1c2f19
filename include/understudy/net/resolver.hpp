// Resolves host names without blocking the caller, nor the end of the process. A call of getaddrinfo cannot be
// cancelled once it has begun, so it runs in detached threads that can be abandoned.
#pragma once

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <asio/error.hpp>
#include <asio/generic/stream_protocol.hpp>
#include <asio/ip/tcp.hpp>

#include <understudy/view.hpp>

namespace understudy::net {

/// The result of resolving a name. The endpoints have port 0. If there are none, `fault` says why.
struct Resolved {
    std::vector<asio::ip::tcp::endpoint> endpoints;
    std::error_code fault;
};

/// Resolves a name with getaddrinfo. Blocks for as long as the system takes.
inline Resolved look_up(const std::string& host) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int wrong = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
    Resolved resolved;
    if (wrong == EAI_SYSTEM) resolved.fault = {errno, std::system_category()};
    else if (wrong == EAI_AGAIN) resolved.fault = asio::error::host_not_found_try_again;
    else if (wrong != 0) resolved.fault = asio::error::host_not_found;
    for (const auto* one = found; one; one = one->ai_next) {
        asio::ip::tcp::endpoint endpoint;
        if (one->ai_addrlen > endpoint.capacity()) continue;
        std::memcpy(endpoint.data(), one->ai_addr, one->ai_addrlen);
        endpoint.resize(one->ai_addrlen);
        resolved.endpoints.push_back(endpoint);
    }
    if (found) ::freeaddrinfo(found);
    return resolved;
}

/// Resolves names in its own detached threads. There are at most `most_threads`; a thread without work ends. A caller
/// may stop waiting at any time: nothing waits for a thread, not even the end of the process. While a name is being
/// resolved, further requests for it join the first one. An answer is retained for `kept`, in case it came too late for
/// its caller, and the next request for the name within that time takes it. If `most_names` names wait for a thread
/// already, a further name fails at once with `asio::error::host_not_found_try_again`. Thread-safe.
class Resolver {
public:
    using LookUp = std::function<Resolved(const std::string& host)>;
    /// The completion of `ask`. It is called in a thread of the resolver, or within `ask`, without a lock. It must not
    /// throw.
    using Done = std::function<void(const Resolved&)>;

    static constexpr std::size_t most_threads = 16, most_names = 1024;
    static constexpr auto kept = std::chrono::seconds{10};

    explicit Resolver(LookUp look_up = net::look_up) : state_{std::make_shared<State>(std::move(look_up))} {}

    /// The resolver that all transports of the process share.
    static const std::shared_ptr<Resolver>& of_process() {
        // Never destroyed: abandoned threads may still use it while the process ends.
        static const auto* const shared = new std::shared_ptr<Resolver>{std::make_shared<Resolver>()};
        return *shared;
    }

    /// Resolves a name and calls `done` exactly once. Does not block.
    void ask(const std::string& host, Done done) {
        std::unique_lock lock{state_->mutex};
        auto& name = state_->names[host];
        if (name.answered && std::chrono::steady_clock::now() < name.until) {
            const auto resolved = name.resolved;
            state_->names.erase(host);  // each retained answer serves one request, so that later ones ask the system
            lock.unlock();
            return done(resolved);
        }
        if (state_->queue.size() >= most_names && !name.under_way) {
            state_->names.erase(host);
            lock.unlock();
            return done({{}, asio::error::host_not_found_try_again});
        }
        name.answered = false;
        name.waiting.push_back(std::move(done));
        if (std::exchange(name.under_way, true)) return;
        state_->queue.push_back(host);
        if (state_->threads == most_threads) return;
        ++state_->threads;
        lock.unlock();
        start(state_);
    }

    /// As `ask`, but blocks until the answer comes, at most for `timeout`; then the fault is `asio::error::timed_out`.
    Resolved ask_and_wait(const std::string& host, Duration timeout) {
        struct Answer {
            std::mutex mutex;
            std::condition_variable arrived;
            bool done = false;
            Resolved resolved{{}, asio::error::timed_out};
        };
        const auto answer = std::make_shared<Answer>();
        ask(host, [answer](const Resolved& resolved) {
            const std::lock_guard lock{answer->mutex};
            answer->resolved = resolved;
            answer->done = true;
            answer->arrived.notify_one();
        });
        std::unique_lock lock{answer->mutex};
        answer->arrived.wait_for(lock, timeout, [&] { return answer->done; });
        return answer->resolved;
    }

private:
    struct Name {
        std::vector<Done> waiting;
        bool under_way = false;
        bool answered = false;
        Resolved resolved;
        std::chrono::steady_clock::time_point until;
    };
    struct State {
        explicit State(LookUp asked) : look_up{std::move(asked)} {}
        const LookUp look_up;
        std::mutex mutex;
        std::map<std::string, Name> names;  // names that are being resolved or wait for it, and retained answers
        std::deque<std::string> queue;      // names that wait for a thread
        std::size_t threads = 0;
    };

    static void start(const std::shared_ptr<State>& state) {
        try {
            std::thread{[state] { work(*state); }}.detach();
        } catch (const std::system_error& none) {
            fail_all(*state, none.code());
        }
    }
    static void work(State& state) {
        std::unique_lock lock{state.mutex};
        while (!state.queue.empty()) {
            const auto host = std::move(state.queue.front());
            state.queue.pop_front();
            lock.unlock();
            auto resolved = state.look_up(host);
            lock.lock();
            answer(state, host, std::move(resolved), lock);
        }
        --state.threads;
    }
    // Drops expired answers, retains this one unless it is a failure, and calls the completions without the lock.
    static void answer(State& state, const std::string& host, Resolved resolved, std::unique_lock<std::mutex>& lock) {
        const auto now = std::chrono::steady_clock::now();
        std::erase_if(state.names, [&](const auto& one) { return one.second.answered && one.second.until <= now; });
        const auto found = state.names.find(host);
        const auto waiting = std::exchange(found->second.waiting, {});
        if (resolved.endpoints.empty()) state.names.erase(found);
        else found->second = Name{{}, false, true, resolved, now + kept};
        lock.unlock();
        for (const auto& done : waiting) done(resolved);
        lock.lock();
    }
    // No thread can be started. If others run, they take over the queue; otherwise all waiting names fail, since
    // nothing would ever serve them.
    static void fail_all(State& state, std::error_code fault) {
        std::unique_lock lock{state.mutex};
        if (--state.threads > 0) return;
        while (!state.queue.empty()) {
            const auto host = std::move(state.queue.front());
            state.queue.pop_front();
            auto waiting = std::move(state.names[host].waiting);
            state.names.erase(host);
            lock.unlock();
            for (const auto& done : waiting) done({{}, fault});
            lock.lock();
        }
    }

    std::shared_ptr<State> state_;
};

}  // namespace understudy::net
