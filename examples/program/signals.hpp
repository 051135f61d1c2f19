// How signals end a server program. A thread of its own takes signals from the first line of main on: also while the
// program reads a long journal or resolves a name, and also as the first process of a container, whose signals the
// kernel drops unless the process handles them.
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

/// Handles SIGTERM, SIGINT and SIGHUP (unless that is ignored, as under nohup). The first signal asks the program to
/// leave, the second one to stop; a third one ends it at once. There is one object, which is never destroyed.
class Signals {
public:
    using Say = void (*)(std::string_view);

    /// Must be called before any thread is started. `say` is called on another thread.
    static Signals& take(Say say) {
        static auto& only = *new Signals{say};
        return only;
    }
    Signals(const Signals&) = delete;
    Signals& operator=(const Signals&) = delete;

    /// A file that the program creates during its start, and removes if a signal ends it then. From this point signals
    /// wait until `made`, or until it is known that the file was not created: otherwise a signal in between would leave
    /// the file behind.
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

    /// While this object exists, the first two signals call these functions, on `io`.
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
        ::signal(SIGPIPE, SIG_IGN);  // a reader of our events that disconnects must not end this process
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
    asio::io_context* io_ = nullptr;  // set only while the program is serving
    std::function<void()> leave_, stop_;
    bool began_ = false;
    int count_ = 0;
};

/// What every program does at its start. If a file may not grow, the write fails with an error instead of a signal.
inline void prepare_process() {
    ::signal(SIGXFSZ, SIG_IGN);
    understudy::net::raise_descriptor_limit();
}

}  // namespace program
