// The upper limit: a relay that carries the same bytes client -> primary -> backup -> primary -> client without looking
// at them. Messages have one size, so nothing has to be parsed; messages that are ready together are passed on
// together.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "tests/bench/meter.hpp"

namespace understudy::bench {

/// The bytes in each direction: the size of the library's frames for a value of that many bytes.
struct RawSizes {
    std::size_t request = 0;
    std::size_t answer = 72;
    explicit RawSizes(std::size_t bytes) : request{bytes + 170} {}
};

/// A raw primary and a raw backup, for messages of one size.
class RawGroup {
public:
    RawGroup(Network network, const std::string& folder, RawSizes sizes) : sizes_{sizes} {
        place_ = {network, network == Network::tcp ? free_port() : std::uint16_t{0}, folder + "/raw"};
        const Place behind{network, network == Network::tcp ? free_port() : std::uint16_t{0}, folder + "/raw_backup"};
        const int front = listen_at(place_), back = listen_at(behind);
        backup_ = Process{[=] { answer_all(accept_one(back, network), sizes); }};
        primary_ = Process{[=] { relay(front, behind, sizes); }};
        close(front);
        close(back);
    }
    std::vector<pid_t> processes() const { return {primary_.id(), backup_.id()}; }

    /// Makes puts as `shape` says, until the meter has measured enough.
    void load(const Shape& shape, Meter& meter) const {
        Poll poll;
        struct Connection {
            int socket;
            std::size_t received = 0;
            std::deque<Clock::time_point> asked;
        };
        std::vector<Connection> connections(shape.connections);
        std::vector<char> buffer(256u << 10);
        const std::string request(sizes_.request * shape.in_flight, 'x');
        for (std::uint32_t n = 0; n < connections.size(); ++n) {
            auto& it = connections[n];
            it.socket = dial(place_);
            unblock(it.socket);
            poll.add(it.socket, n);
            it.asked.assign(shape.in_flight, Clock::now());
            write_all(it.socket, request.data(), request.size());
        }
        while (!meter.over())
            poll.wait(-1, [&](std::uint32_t n) {
                auto& it = connections[n];
                it.received += read_some(it.socket, buffer.data(), buffer.size());
                std::size_t answers = it.received / sizes_.answer;
                it.received %= sizes_.answer;
                const auto now = Clock::now();
                for (std::size_t i = 0; i < answers; ++i) {
                    meter.done(it.asked.front(), now);
                    it.asked.pop_front();
                    it.asked.push_back(now);
                }
                write_all(it.socket, request.data(), answers * sizes_.request);
            });
        for (const auto& it : connections) close(it.socket);
    }

private:
    static void answer_all(int primary, RawSizes sizes) {
        std::vector<char> buffer(1u << 20);
        const std::string answers(sizes.answer * (buffer.size() / sizes.request + 1), 'a');
        std::size_t received = 0;
        for (ssize_t count; (count = read(primary, buffer.data(), buffer.size())) > 0;) {
            received += static_cast<std::size_t>(count);
            write_all(primary, answers.data(), received / sizes.request * sizes.answer);
            received %= sizes.request;
        }
    }

    struct Client {
        std::string request;  // the incomplete message
        std::size_t owed = 0;
    };

    static void relay(int listener, const Place& behind, RawSizes sizes) {
        Poll poll;
        const int backup = dial(behind);
        unblock(backup);
        std::map<int, Client> clients;
        std::deque<int> order;  // the client whose request is answered next
        std::vector<char> buffer(1u << 20);
        std::string forward;
        std::size_t received = 0;
        const std::string answers(sizes.answer * 4096, 'a');
        poll.add(listener, static_cast<std::uint32_t>(listener));
        poll.add(backup, static_cast<std::uint32_t>(backup));
        for (std::vector<int> answered;; answered.clear(), forward.clear()) {
            poll.wait(-1, [&](std::uint32_t number) {
                const int socket = static_cast<int>(number);
                if (socket == listener) {
                    const int taken = accept_one(listener, behind.network);
                    unblock(taken);
                    poll.add(taken, static_cast<std::uint32_t>(taken));
                    clients[taken] = {};
                } else if (socket == backup) {
                    received += read_some(backup, buffer.data(), buffer.size());
                    for (; received >= sizes.answer; received -= sizes.answer) {
                        if (auto client = clients.find(order.front()); client != clients.end())
                            if (client->second.owed++ == 0) answered.push_back(order.front());
                        order.pop_front();
                    }
                } else if (!take(clients, socket, buffer, forward, order, sizes)) {
                    clients.erase(socket);
                    close(socket);
                }
            });
            write_all(backup, forward.data(), forward.size());
            for (const int socket : answered)
                if (auto client = clients.find(socket); client != clients.end())
                    answer(socket, answers, std::exchange(client->second.owed, 0) * sizes.answer);
        }
    }

    static void answer(int client, const std::string& answers, std::size_t size) {
        try {
            write_all(client, answers.data(), size);
        } catch (const std::system_error&) {  // it has disconnected, and the next read reports that
        }
    }

    static bool take(std::map<int, Client>& clients, int socket, std::vector<char>& buffer, std::string& forward,
                     std::deque<int>& order, RawSizes sizes) {
        const auto count = read(socket, buffer.data(), buffer.size());
        if (count <= 0) return count < 0 && (errno == EAGAIN || errno == EINTR);
        auto& pending = clients[socket].request;
        pending.append(buffer.data(), static_cast<std::size_t>(count));
        const auto whole = pending.size() / sizes.request;
        forward.append(pending, 0, whole * sizes.request);
        pending.erase(0, whole * sizes.request);
        order.insert(order.end(), whole, socket);
        return true;
    }

    RawSizes sizes_;
    Place place_;
    Process backup_, primary_;  // the primary ends first
};

}  // namespace understudy::bench
