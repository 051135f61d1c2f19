// How a client learns the view (rules C1 and C7): it asks once, follows the views that are pushed over that connection,
// and asks again only when something seems wrong. It uses one address of the view service at a time, and goes to the
// next one after silence, a refusal or a lost connection.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <understudy/client/backoff.hpp>
#include <understudy/client/output.hpp>
#include <understudy/client/refusals.hpp>
#include <understudy/options.hpp>
#include <understudy/protocol/call_id.hpp>

namespace understudy::client {

/// The part of a client that asks the view service: when, and at which address. ClientStateMachine reads the answers.
class ViewFollower {
public:
    explicit ViewFollower(const ClientOptions& options)
        : addresses_(options.view_service),
          group_(options.group),
          silence_(options.resend_after),
          backoff_(options.retry_first, options.retry_last) {}

    /// A call needs a view. Asks, unless the view service has answered and its connection still stands.
    void want(Time now) {
        if (!settled_) ask(now);
    }
    /// Something seems wrong. Asks again, but not before the growing wait since the last question has passed.
    void ask_again(Time now) { ask(now); }
    /// A newer view was learned. The next `want` or `ask_again` asks at once.
    void helped() {
        backoff_.reset();
        not_before_ = Time{};
    }

    bool is_view_service(const Address& peer) const { return std::ranges::find(addresses_, peer) != addresses_.end(); }
    /// True if question `n` was ever asked. An answer to any other number is a fault of the peer.
    bool made(std::uint64_t n) const { return n > 0 && n < next_; }

    /// Records the answer to question `n`. `has_view` is false if the group has no view yet: then it asks again later.
    /// An answer to an earlier question changes nothing here.
    void answered(std::uint64_t n, bool has_view) {
        if (n != open_) return;
        open_ = 0;
        settled_ = true;
        in_vain_ = refused_ = 0;
        due_ = has_view ? never : not_before_;
    }
    /// Records the refusal of question `n` and goes to the next address. Returns true if as many refusals as there are
    /// addresses were for good, with no answer, silence or passing refusal between them: asking on cannot help then.
    bool refused(std::uint64_t n, error code) {
        if (n != open_) return false;
        // There is no room for another watcher. A view without pushes is better than none, so get it once.
        by_get_ = code == error::overloaded;
        move_on();
        due_ = not_before_;
        const bool may_pass = retry_action_of(code) != RetryAction::none;  // C7: such a refusal is like silence
        refused_ = may_pass ? 0 : refused_ + 1;
        return refused_ >= addresses_.size();
    }
    /// The connection to a peer was lost. If it was to the current address, pushed views may be missed from now on.
    void disconnected(const Address& peer, Time now, Output& out) {
        if (peer != address()) return;
        if (asking()) note_silence(out);
        move_on();
        due_ = std::max(now, not_before_);
    }
    /// Sends the question if it is due. A question that is still unanswered then counts as silence.
    void wake(Time now, Prng& chance, Output& out) {
        if (due_ > now) return;
        if (asking()) {
            note_silence(out);
            move_on();
        }
        open_ = next_++;
        if (std::exchange(by_get_, false))
            out.send(address(), make_call_id(Method::view_get, open_), ViewGet{.group = group_});
        else
            out.send(address(), make_call_id(Method::view_watch, open_), ViewWatch{.group = group_});
        due_ = after(now, silence_);
        not_before_ = after(now, backoff_.next(chance));
    }
    Time deadline() const { return due_; }

    friend bool operator==(const ViewFollower&, const ViewFollower&) = default;

private:
    const Address& address() const { return addresses_[current_]; }
    bool asking() const { return open_ != 0; }
    // While a question is open its answer is awaited: it will show the newest view.
    void ask(Time now) {
        if (!asking()) due_ = std::min(due_, std::max(now, not_before_));
    }
    void move_on() {
        current_ = (current_ + 1) % addresses_.size();
        open_ = 0;
        settled_ = false;
    }
    // The question met silence or a lost connection.
    void note_silence(Output& out) {
        refused_ = 0;  // C7: the silent address may be back later, so asking on can help
        // At most one event per address until an answer comes: a long outage must not flood the host.
        if (in_vain_++ < addresses_.size()) out.emit(ViewServiceSilent{address()});
    }

    std::vector<Address> addresses_;
    std::string group_;
    Duration silence_;
    Backoff backoff_;
    std::size_t current_ = 0;
    std::uint64_t next_ = 1;   // the number of the next question
    std::uint64_t open_ = 0;   // the question whose answer is awaited; 0: none
    Time due_ = never;         // when to ask; or, while a question is open, when it counts as unanswered
    Time not_before_{};        // the earliest time of the next question
    std::size_t in_vain_ = 0;  // questions that met silence or a lost connection since the last answer
    std::size_t refused_ = 0;  // questions refused for good since the last answer, silence or passing refusal
    bool settled_ = false;     // the view service has answered, and its connection stands as far as is known
    bool by_get_ = false;      // the next question is `view.get`, which does not watch
};

}  // namespace understudy::client
