// The driver joins a state machine with a transport: it passes on what has arrived to the state machine and carries out
// the output. `runtime/loop.hpp` says in which order.
#pragma once

#include <concepts>
#include <cstddef>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include <asio/post.hpp>

#include <understudy/error.hpp>
#include <understudy/protocol/caller.hpp>
#include <understudy/protocol/coverage.hpp>
#include <understudy/protocol/output.hpp>
#include <understudy/replica/output.hpp>
#include <understudy/runtime/erased_transport.hpp>
#include <understudy/runtime/repeated_events.hpp>
#include <understudy/transport.hpp>
#include <understudy/wire/json.hpp>

namespace understudy::detail {

/// The state machine of a replica: it asks for journal batches, and it answers calls of the host in the same process
/// (`replica::local_peer`).
template <typename M>
concept Replicates = std::derived_from<typename M::Output, replica::Output>;

/// A state machine, its transport, and the data that passes between them. A node (`runtime/*_node.ipp`) owns one, and
/// `run` calls the functions of a turn.
template <StateMachine M>
class Driver {
public:
    using Output = typename M::Output;

    Driver(M state_machine, std::unique_ptr<TransportBase> carrier, Observer observer)
        : machine{std::move(state_machine)}, transport{std::move(carrier)}, observer_{std::move(observer)} {}

    Driver(const Driver&) = delete;
    Driver& operator=(const Driver&) = delete;

    M machine;
    std::unique_ptr<TransportBase> transport;
    bool running = false;  ///< Whether the loop runs, or is about to.

    bool stopped() const { return stopped_; }
    std::error_code stopped_by() const { return stopped_by_; }
    /// Ends the loop for good. Only the first call counts.
    void stop(std::error_code by) {
        if (std::exchange(stopped_, true)) return;
        stopped_by_ = by;
        transport->close();
    }

    /// Runs a step that the host asks for, between two turns. Its output leaves with the next turn, which `wake` starts
    /// at once.
    template <typename Step>
    void ask(Step step) {
        step(machine, transport->now(), output());
        transport->wake();
    }

    /// Emits an event. An exception of the observer leaves the executor's `run()`, as from any handler; the service
    /// continues.
    void emit(const Event& event) {
        if (!observer_ || silent_) return;
        try {
            observer_(event);
        } catch (...) {
            asio::post(transport->get_executor(),
                       [thrown = std::current_exception()] { std::rethrow_exception(thrown); });
        }
    }
    /// From now on the observer gets no events.
    void silence() { silent_ = true; }

    // ---- a turn -------------------------------------------------------------------------------------------

    /// Passes all that has arrived to the state machine.
    void receive(TransportEvents arrivals, Time now) {
        for (auto& arrival : arrivals)
            std::visit([&](auto& one) { take(one, now); }, arrival);
        transport->reuse(std::move(arrivals));
    }
    /// Passes one message to the state machine. The payload is not kept.
    void receive(const Peer& from, std::string_view payload, Time now) {
        if constexpr (requires { machine.receive(Caller{}, view_, now, output()); })
            if (receive_view(from, payload, now)) return;
        auto decoded = wire::decode(payload);
        if (auto* wrong = std::get_if<wire::DecodeError>(&decoded)) return refuse(from, *wrong);
        auto& [id, content] = std::get<wire::Decoded>(decoded);
        if (const auto* ping = std::get_if<Ping>(&content))
            // The view service would announce this name to other nodes, and they could not dial it.
            if (auto wrong = transport->name_fault(ping->server); !wrong.empty())
                return refuse(from, {id, error::bad_request, std::move(wrong), "view.ping"});
        machine.receive({from, std::move(id), std::move(content)}, now, output());
    }
    /// Lets the state machine do what is due, except for work of the host's store.
    void wake(Time now) {
        if constexpr (WorkingStateMachine<M>) machine.respond(now, output());
        else machine.wake(now, output());
        // Checked before anything leaves: a state machine that is in a wrong state must not send its output.
        machine.invariants();
    }
    /// The rest of a turn: the state machine calls the host's store, as much as a turn has time for. Its output leaves
    /// as that of `wake` does.
    void work() {
        while (machine.has_work()) machine.work(transport->now(), output());
        machine.end_work(transport->now(), output());
        machine.invariants();
    }
    /// What the turn has asked for so far.
    Output& output() { return *filling_; }

    /// Carries out the output; `node` gets what is for the host or its journal. What an observer adds meanwhile by a
    /// call of the service waits for the next turn. The journal batch is submitted before any message leaves, so that
    /// no message can depend on a batch that was never submitted (S9).
    template <typename N>
    void carry_out(N& node) {
        std::swap(filling_, doing_);
        if constexpr (Replicates<M>)
            if (doing_->journal) node.submit(*doing_->journal);
        send_all(node);
        if constexpr (requires { doing_->probes; })
            for (const auto& address : doing_->probes) transport->probe(address);
        if constexpr (requires { doing_->holds; })
            for (const auto& hold : doing_->holds) pause_or_resume(hold);
        emit_all(doing_->events);
        doing_->clear();
        if (buffer_.capacity() > kept_buffer) std::string{}.swap(buffer_);
    }

private:
    // ---- what arrives ----

    /// Passes on a message of every call. Returns false if the payload is none.
    bool receive_view(const Peer& from, std::string_view payload, Time now) {
        CallId id;
        const bool is_view = wire::decode_view(payload, id, view_);
        if (is_view) machine.receive(Caller{from, id}, view_, now, output());
        // The list keeps its memory from append to append. One append of many small entries would have it keep more
        // than the frame that it came in; so would a payload of which only the end is unusual.
        if (const auto* append = std::get_if<AppendView>(&view_); append && append->entries.capacity() > kept_entries)
            view_ = {};
        return is_view;
    }
    void take(Delivered& message, Time now) { receive(message.from, message.payload, now); }
    void take(Disconnected& gone, Time now) { machine.disconnected(gone.peer, now, output()); }
    void take(Probed& probed, Time now) { machine.probed(probed.address, probed.result, now, output()); }
    void take(Backlog& backlog, Time) {
        if constexpr (requires { machine.backlog(backlog.peer, backlog.full); })
            machine.backlog(backlog.peer, backlog.full);
    }
    void take(ProtocolError& broken, Time) {
        reached(broken.code);
        output().emit(Malformed{std::move(broken.peer), broken.code, std::move(broken.what)});
    }
    void take(ConnectionsRefused& refused, Time) { output().emit(std::move(refused)); }
    void take(ConnectionsAccepted& accepted, Time) { output().emit(accepted); }

    void refuse(const Address& peer, const wire::DecodeError& wrong) {
        reached(wrong.code);
        transport->malformed(peer);
        output().emit(Malformed{peer, wrong.code, wrong.text});
        if (wrong.answer) output().send(peer, wrong.id, wire::to_failure(wrong));
    }

    // ---- what leaves ----

    template <typename N>
    void send_all(N& node) {
        const Envelope* before = nullptr;
        for (auto& sent : doing_->outbox) {
            if constexpr (Replicates<M>)
                if (sent.peer == replica::local_peer) {
                    node.answer(std::move(sent));
                    continue;
                }
            if (!write_in_place(sent)) {
                if (!is_same_push(before, sent)) {
                    buffer_.clear();
                    wire::encode(buffer_, sent);
                }
                transport->send(sent.peer, buffer_);
                before = &sent;
            }
        }
    }

    /// Encodes a message where it is sent from, if the transport lets us and nobody else gets the same text.
    bool write_in_place(const Envelope& sent) {
        if (std::holds_alternative<ViewChanged>(sent.message)) return false;
        auto* const frame = transport->begin_frame(sent.peer);
        if (!frame) return false;
        try {
            wire::encode(*frame, sent);
        } catch (...) {
            transport->drop_frame();  // a part of a frame would spoil all that follows
            throw;
        }
        transport->end_frame();
        return true;
    }

    /// Whether this message pushes the same view as the one before. A view that is pushed to many peers is encoded
    /// once.
    static bool is_same_push(const Envelope* before, const Envelope& sent) {
        const auto* push = std::get_if<ViewChanged>(&sent.message);
        const auto* pushed = push && before ? std::get_if<ViewChanged>(&before->message) : nullptr;
        return pushed && *pushed == *push;
    }

    void pause_or_resume(const replica::Hold& hold) {
        if (hold.peer == replica::local_peer) return;  // a call of the host in this process has no connection to pause
        if (hold.on)
            transport->pause(hold.peer);
        else
            transport->resume(hold.peer);
    }

    void emit_all(const std::vector<Event>& events) {
        if constexpr (requires { M::emits_each_refusal; }) {
            for (const auto& event : events) emit(event);
        } else if (!events.empty() || !repeated_.empty()) {
            const Time now = transport->now();
            for (const auto& event : events)
                if (repeated_.is_new(event, now)) emit(event);
            repeated_.emit_due(now, [&](const Event& event) { emit(event); });
        }
    }

    static constexpr std::size_t kept_buffer = 1u << 20;
    static constexpr std::size_t kept_entries = 4096;

    Observer observer_;
    // One is filled while the other is carried out. These and the buffer keep their memory from turn to turn, up to a
    // bound.
    Output outputs_[2];
    Output *filling_ = &outputs_[0], *doing_ = &outputs_[1];
    std::string buffer_;
    MessageView view_;  // of the message that was received last
    RepeatedEvents repeated_;
    bool stopped_ = false;
    bool silent_ = false;
    std::error_code stopped_by_;
};

}  // namespace understudy::detail
