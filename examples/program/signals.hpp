// How a server program is told to go. Signals are taken from the first line of main on, by a thread of their own: also
// while the program reads a long journal or resolves a name, and also as the first process of a container, whose
// signals the kernel drops unless somebody takes them.
#pragma once

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <asio/io_context.hpp>
#include <asio/post.hpp>

#include <understudy/net/descriptor_limit.hpp>

namespace program {

/// SIGTERM, SIGINT and SIGHUP (unless that is ignored, as under nohup). The first one asks the program to leave, the
/// second one to stop; a third one ends it, whatever it waits for. There is one object, which is never destroyed.
class Signals {
public:
    using Say = void (*)(std::string_view);

    /// Has to come before any thread is started. `say` is called on another thread.
    static Signals& take(Say say) {
        static auto& only = *new Signals{say};
        return only;
    }
    Signals(const Signals&) = delete;
    Signals& operator=(const Signals&) = delete;

    /// A file that the program makes while it starts, and removes if it is told to go then. Signals wait from this on
    /// until `made`, or until it is known that the file was not made: else one that comes between would leave it.
    class Making {
    public:
        Making(Signals& signals, std::string file)
            : signals_{signals}, file_{std::move(file)}, lock_{signals.mutex_, std::defer_lock} {
            if (!file_.empty()) lock_.lock();
        }
        void made() {
            if (!lock_) return;
            signals_.file_ = file_;
            lock_.unlock();
        }

    private:
        Signals& signals_;
        std::string file_;
        std::unique_lock<std::mutex> lock_;
    };

    /// While it lives the first signals call these, on `io`.
    class Serving {
    public:
        Serving(Signals& signals, asio::io_context& io, std::function<void()> leave, std::function<void()> stop)
            : signals_{signals} {
            signals_.serve(&io, std::move(leave), std::move(stop));
        }
        ~Serving() { signals_.serve(nullptr, {}, {}); }
        Serving(const Serving&) = delete;
        Serving& operator=(const Serving&) = delete;

    private:
        Signals& signals_;
    };

private:
    explicit Signals(Say say) : say_{say} {
        ::signal(SIGPIPE, SIG_IGN);  // a reader of our events that goes away must not end us
        sigemptyset(&set_);
        for (const int one : {SIGTERM, SIGINT, SIGHUP})
            if (one != SIGHUP || !ignored(one)) sigaddset(&set_, one);
        pthread_sigmask(SIG_BLOCK, &set_, nullptr);
        std::thread{[this] { listen(); }}.detach();
    }
    static bool ignored(int one) {
        struct sigaction current {};
        return sigaction(one, nullptr, &current) == 0 && current.sa_handler == SIG_IGN;
    }

    void listen() {
        for (;;) {
            int one = 0;
            if (sigwait(&set_, &one) == 0) taken();
        }
    }
    void taken() {
        const std::lock_guard lock{mutex_};
        if (!began_) {
            say_("asked to stop during the start; stopped");
            if (!file_.empty()) ::unlink(file_.c_str());
            std::_Exit(0);
        }
        const auto count = ++count_;
        if (count > 2) {
            say_("did not stop in time; ended by a third signal");
            std::_Exit(1);
        }
        if (io_) asio::post(*io_, count == 1 ? leave_ : stop_);
    }
    void serve(asio::io_context* io, std::function<void()> leave, std::function<void()> stop) {
        const std::lock_guard lock{mutex_};
        began_ = true;
        io_ = io;
        leave_ = std::move(leave);
        stop_ = std::move(stop);
    }

    Say say_;
    sigset_t set_{};
    std::mutex mutex_;
    std::string file_;
    asio::io_context* io_ = nullptr;  // nothing but between start and end
    std::function<void()> leave_, stop_;
    bool began_ = false;
    int count_ = 0;
};

/// What every program of ours does at its start. A file that may not grow is an error that is told.
inline void prepare_process() {
    ::signal(SIGXFSZ, SIG_IGN);
    understudy::net::raise_descriptor_limit();
}

}  // namespace program
