// The client of the prototype as a state machine: a session for each connection, and calls that keep their command
// until it is answered, as one that may have to be sent again.
#pragma once

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/bench/prototype/log.hpp"

namespace understudy::bench::prototype {

/// The answer to a command or a read. `value`: the string, or `null`, or a number; a view that is valid in the
/// completion only.
struct Answer {
    Position at;
    std::string_view value;
};

class Client {
public:
    using Done = std::function<void(const Answer&)>;

    explicit Client(Outbox& out) : out_{out} {}

    /// Opens the session of a new connection; nothing may be called there before it is done.
    void open(PeerNumber peer, Done done) {
        callers_.resize(std::max<std::size_t>(callers_.size(), peer + 1));
        write_open(out_.to(peer), begin(peer, std::move(done)));
    }
    /// Puts, or appends to the value.
    void execute(PeerNumber peer, bool append, std::string_view key, std::string_view value, Done done) {
        const auto n = begin(peer, std::move(done));
        auto& caller = callers_[peer];
        auto& command = caller.calls[n].command;
        write(command, append, key, value);
        // The number of the call is the command's own too. A read has a number as well, and no command has that.
        write_execute(out_.to(peer), n, caller.session, n, caller.calls.first(), {command.data(), command.size()});
    }
    void get(PeerNumber peer, std::string_view key, Done done) {
        write_get(out_.to(peer), begin(peer, std::move(done)), key);
    }

    void receive(PeerNumber from, std::string_view payload) {
        FastScanner in{payload};
        std::uint64_t id = 0;
        if (!in.literal(before_id) || !in.number(id)) unexpected(payload);
        const auto [method, n] = protocol::read_call_id(protocol::CallId{id});
        auto& caller = callers_[from];
        if (!caller.calls.has(n) || !caller.calls[n].done) return;  // answered before
        Answer answer;
        if (method == Method::pb_open) {
            if (!in.literal(R"(,"result":{"session":)") || !take(in, caller.session) || !in.literal("}}"))
                unexpected(payload);
        } else if (!take_value(in, answer.at, answer.value)) {
            unexpected(payload);
        }
        const auto done = std::exchange(caller.calls[n].done, nullptr);
        while (!caller.calls.empty() && !caller.calls[caller.calls.first()].done) caller.calls.pop();
        done(answer);
    }
    void turn() {}
    void disconnected(PeerNumber) { throw std::runtime_error{"the prototype's primary is gone"}; }

private:
    struct Call {
        Done done;  // empty: answered
        Bytes command;
    };
    struct Caller {
        Position session;
        NumberedQueue<Call> calls;
    };

    std::uint64_t begin(PeerNumber peer, Done done) {
        auto& calls = callers_[peer].calls;
        calls.push().done = std::move(done);
        return calls.next() - 1;
    }

    Outbox& out_;
    std::vector<Caller> callers_;
};

}  // namespace understudy::bench::prototype
