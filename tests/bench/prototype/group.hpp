// The prototype as a system of the benchmark: what Asio allows. A primary, a backup and clients that write the same
// frames as the library, with sessions, commands that are applied once, a log, appends in batches and commits; without
// the general reader, views, pings, leases, deadlines, a journal, pauses and cancellation. A read is answered straight
// from the map, as a read by lease is.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <asio/io_context.hpp>

#include "tests/bench/meter.hpp"
#include "tests/bench/prototype/client.hpp"
#include "tests/bench/prototype/loop.hpp"
#include "tests/bench/prototype/servers.hpp"

namespace understudy::bench {

class PrototypeGroup {
public:
    PrototypeGroup(Network network, const std::string& folder) {
        const auto place = [&](const char* name) {
            return Place{network, network == Network::tcp ? free_port() : std::uint16_t{0}, folder + name};
        };
        primary_place_ = place("/prototype");
        backup_place_ = place("/prototype_backup");
        const int front = listen_at(primary_place_), back = listen_at(backup_place_);
        backup_ = Process{[=] {
            close(front);
            run_backup(back, network);
        }};
        primary_ = Process{[=, this] {
            close(back);
            run_primary(front, backup_place_);
        }};
        close(front);
        close(back);
    }
    std::vector<pid_t> processes() const { return {primary_.id(), backup_.id()}; }

    /// Gives each key a value of `bytes` bytes, so many times.
    void fill(std::size_t bytes, std::size_t times = 1) const {
        Session session{primary_place_};
        for (; times > 0; --times) session.put_all(bytes, [&](std::size_t) { return std::string(bytes, 'v'); });
    }

    /// Makes calls as `shape` says, until the meter has measured enough.
    void load(const Shape& shape, Meter& meter) const {
        Clients clients{primary_place_, shape.connections};
        std::deque<Lane> lanes;
        for (std::size_t n = 0; n < shape.outstanding(); ++n)
            lanes.push_back({clients, shape, meter, static_cast<prototype::PeerNumber>(n / shape.in_flight), n});
        for (auto& lane : lanes) lane.go_on();
        clients.run();
    }

    /// Throws if a value that was put is not the one that is read, or if the servers do not end with the same content.
    void check(std::size_t bytes) const {
        Session session{primary_place_};
        const auto value = [&](std::size_t n) {
            std::string text = std::to_string(n);
            text.resize(bytes, 'c');
            return text;
        };
        session.put_all(bytes, value);
        session.check_all(bytes, value);
        const auto primary = digest(primary_place_);
        auto backup = digest(backup_place_);
        const auto end = Clock::now() + std::chrono::seconds{10};
        while (backup.applied < primary.applied && Clock::now() < end) backup = digest(backup_place_);
        if (backup.applied != primary.applied || backup.content != primary.content)
            throw std::runtime_error{"the prototype's backup differs from its primary"};
    }

private:
    static void run_backup(int listener, Network network) {
        asio::io_context io{1};
        prototype::Outbox out;
        prototype::Backup backup{out};
        prototype::Loop loop{io, out, backup};
        loop.accept_all(listener, network);
        io.run();
    }
    static void run_primary(int listener, const Place& behind) {
        asio::io_context io{1};
        prototype::Outbox out;
        prototype::Primary primary{out, 0};
        prototype::Loop loop{io, out, primary};
        loop.add(dial(behind), behind.network);  // the first peer
        loop.accept_all(listener, behind.network);
        io.run();
    }

    /// Connections with an open session each.
    struct Clients {
        Clients(const Place& place, std::size_t connections) {
            std::size_t left = connections;
            for (std::size_t n = 0; n < connections; ++n)
                machine.open(loop.add(dial(place), place.network), [&](auto&) {
                    if (--left == 0) io.stop();
                });
            run();
        }
        void run() {
            io.restart();
            loop.flush();
            io.run();
        }

        asio::io_context io{1};
        prototype::Outbox out;
        prototype::Client machine{out};
        prototype::Loop<prototype::Client> loop{io, out, machine};
    };

    /// Makes one call after the other.
    struct Lane {
        Clients& clients;
        const Shape& shape;
        Meter& meter;
        prototype::PeerNumber peer;
        std::size_t number;
        std::size_t calls = 0;
        std::size_t length = 0;  // of the value that is appended to
        Clock::time_point asked{};

        void go_on() {
            const auto n = calls++;
            const auto key = key_of(shape, number, n);
            const auto done = [this](const prototype::Answer& answer) { ended(answer); };
            asked = Clock::now();
            if (reads(shape.operation)) return clients.machine.get(peer, key, done);
            const bool begins = begins_value(shape, n);
            length = begins ? shape.bytes : length + shape.bytes;
            clients.machine.execute(peer, !begins, key, std::string(shape.bytes, 'v'), done);
        }
        void ended(const prototype::Answer& answer) {
            if (!is_right(answer.value)) throw std::runtime_error{"the prototype has answered wrongly"};
            if (meter.done(asked, Clock::now())) return go_on();
            clients.io.stop();
        }
        bool is_right(std::string_view value) const {
            if (reads(shape.operation)) return value.size() == shape.bytes;
            if (shape.operation == Operation::append && length != shape.bytes) return value == std::to_string(length);
            return value == "null";
        }
    };

    /// Calls for all keys, on one connection.
    struct Session : Clients {
        explicit Session(const Place& place) : Clients{place, 1} {}

        void put_all(std::size_t bytes, const auto& value) {
            for_all(bytes, [&](std::size_t n, auto done) {
                machine.execute(0, false, key(n), value(n), [=](auto&) { done(); });
            });
        }
        void check_all(std::size_t bytes, const auto& value) {
            for_all(bytes, [&](std::size_t n, auto done) {
                machine.get(0, key(n), [=, &value](const prototype::Answer& answer) {
                    if (answer.value != value(n)) throw std::runtime_error{"the prototype has lost a value"};
                    done();
                });
            });
        }

    private:
        void for_all(std::size_t bytes, const auto& call) {
            std::size_t left = keys(bytes);
            for (std::size_t n = 0; n < keys(bytes); ++n)
                call(n, [this, &left] {
                    if (--left == 0) io.stop();
                });
            run();
        }
    };

    struct Digest {
        std::uint64_t applied = 0, content = 0;
    };
    static Digest digest(const Place& place) {
        const int socket = dial(place);
        std::string text;
        wire::append_frame(text, std::string{prototype::before_id} + "1" + prototype::digest_method);
        write_all(socket, text.data(), text.size());
        char answer[512];
        for (wire::FrameDecoder frames{sizeof answer};;) {
            const auto count = must(static_cast<int>(read(socket, answer, sizeof answer)), "read");
            if (count == 0) throw std::runtime_error{"a prototype server is gone"};
            frames.feed({answer, static_cast<std::size_t>(count)});
            if (const auto payload = frames.next()) return close(socket), to_digest(*payload);
        }
    }
    static Digest to_digest(std::string_view payload) {
        Digest it;
        wire::FastScanner in{payload};
        if (!in.literal(prototype::before_id) || !in.literal(R"(1,"result":{"applied":)") || !in.number(it.applied) ||
            !in.literal(R"(,"digest":)") || !in.number(it.content))
            prototype::unexpected(payload);
        return it;
    }

    Place primary_place_, backup_place_;
    Process backup_, primary_;  // the primary ends first
};

}  // namespace understudy::bench
