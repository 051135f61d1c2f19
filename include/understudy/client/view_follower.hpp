// How a client knows the view (rule C1): it asks once, follows what is pushed over that connection, and asks again
// only when something seems wrong. It speaks with one view service address at a time; the next one follows silence.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <understudy/client/backoff.hpp>
#include <understudy/client/refusals.hpp>
#include <understudy/options.hpp>
#include <understudy/protocol/call_id.hpp>
#include <understudy/protocol/effects.hpp>

namespace understudy::client {

/// The part of a client that asks the view service. What the answers say is the client's business.
class ViewFollower {
public:
    explicit ViewFollower(const ClerkOptions& options)
        : addresses_(options.view_service),
          group_(options.group),
          silence_(options.resend_after),
          backoff_(options.retry_first, options.retry_last) {}

    /// A view is wanted: asks unless an answer came over a connection that still lives.
    void want(Time now) {
        if (!settled_) ask(now);
    }
    /// Something seems wrong: asks again, at once or, if it just asked in vain, after a growing wait.
    void suspect(Time now) { ask(now); }
    /// What was learned helped: the next suspicion is followed up at once.
    void helped() {
        backoff_.reset();
        not_before_ = Time{};
    }

    bool is_view_service(const Address& peer) const { return std::ranges::find(addresses_, peer) != addresses_.end(); }
    /// Whether call `n` was made at all; if not, nobody waits for its answer.
    bool made(std::uint64_t n) const { return n > 0 && n < next_; }

    /// Call `n` was answered, with a view or with the news that there is none yet.
    void answered(std::uint64_t n, bool has_view) {
        if (n != open_) return;
        open_ = 0;
        settled_ = true;
        in_vain_ = refused_ = 0;
        due_ = has_view ? never : not_before_;
    }
    /// Call `n` was refused. True if by now every address has refused for good, one after the other. A refusal that may
    /// pass is like silence.
    bool refused(std::uint64_t n, error code) {
        if (n != open_) return false;
        by_get_ = code == error::overloaded;  // no room for another watcher; a view without pushes is better than none
        move_on();
        due_ = not_before_;
        const bool may_pass = cure_of(code) != Cure::none;  // C7: then it is like silence
        refused_ = may_pass ? 0 : refused_ + 1;
        return refused_ >= addresses_.size();
    }
    void gone(const Address& peer, Time now, Effects& out) {
        if (peer != address()) return;
        if (asking()) tell_silent(out);
        move_on();
        due_ = std::max(now, not_before_);
    }
    void wake(Time now, Chance& chance, Effects& out) {
        if (due_ > now) return;
        if (asking()) {
            tell_silent(out);
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
    void ask(Time now) {
        if (!asking()) due_ = std::min(due_, std::max(now, not_before_));
    }
    void move_on() {
        current_ = (current_ + 1) % addresses_.size();
        open_ = 0;
        settled_ = false;
    }
    // Once for each address, not once for each try of a long outage.
    void tell_silent(Effects& out) {
        if (in_vain_++ < addresses_.size()) out.tell(ViewServiceSilent{address()});
    }

    std::vector<Address> addresses_;
    std::string group_;
    Duration silence_;
    Backoff backoff_;
    std::size_t current_ = 0;
    std::uint64_t next_ = 1;   // the number of the next call
    std::uint64_t open_ = 0;   // the call whose answer is awaited; 0: none is
    Time due_ = never;         // when to ask, or when the open question counts as not heard
    Time not_before_{};        // the earliest time of the next question
    std::size_t in_vain_ = 0;  // questions without an answer, in a row
    std::size_t refused_ = 0;  // questions refused for good, in a row
    bool settled_ = false;     // the view service has answered and its connection lives
    bool by_get_ = false;      // ask without watching, once
};

}  // namespace understudy::client
