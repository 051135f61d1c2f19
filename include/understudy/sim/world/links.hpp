// Faults of the network between two nodes: latency, loss, repeats, cuts and filters. They are apart from the
// connections (network.hpp), so that a test can set them without touching one. A link has a direction and is named by
// its two nodes: a server by its address, a client by the name that it was given.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/sim/world/random.hpp>
#include <understudy/view.hpp>

namespace understudy::sim {

using namespace std::chrono_literals;

/// The quality of one direction of a link. Loss and repeats affect whole frames; the connection stays open.
struct LinkQuality {
    Duration latency_least = 100us;
    Duration latency_most = 1ms;
    double loss = 0;          ///< The probability that a frame is lost.
    double repeat = 0;        ///< The probability that a frame arrives twice, the copy late (`lateness`).
    bool heavy_tail = false;  ///< Most latencies are near the minimum; each doubling is half as likely.
    bool reorder = false;     ///< Each frame has its own latency and may overtake; else frames keep order.
};

/// One frame, as a filter sees it. Valid during the call.
struct Packet {
    Time time;
    std::string_view from;
    std::string_view to;
    std::string_view payload;
};

/// A filter's decision about a frame. On a link that keeps order, a delay also delays the frames behind it.
struct Fate {
    int copies = 1;
    Duration delay{};

    static constexpr Fate deliver() { return {}; }
    static constexpr Fate drop() { return {.copies = 0, .delay = {}}; }
    static constexpr Fate delayed(Duration by) { return {.copies = 1, .delay = by}; }
    static constexpr Fate duplicate() { return {.copies = 2, .delay = {}}; }
};

using Filter = std::function<Fate(const Packet&)>;

/// The faults of all links. They may be changed at any time; latency, loss and repeats apply to frames sent from then
/// on.
class Links {
public:
    explicit Links(Random random) : random_{random} {}

    /// Sets the quality of all links, or of one link. A link's own quality takes precedence.
    void set_quality(LinkQuality quality) { everywhere_ = quality; }
    void set_quality(const std::string& from, const std::string& to, LinkQuality quality) {
        qualities_.insert_or_assign({from, to}, quality);
    }
    const LinkQuality& quality(const std::string& from, const std::string& to) const {
        if (qualities_.empty()) return everywhere_;
        auto found = qualities_.find({from, to});
        return found == qualities_.end() ? everywhere_ : found->second;
    }

    /// From now on nothing passes from `from` to `to`, not even segments under way. The connections stay open: neither
    /// end notices.
    void cut(const std::string& from, const std::string& to) { cuts_.insert({from, to}); }
    void heal(const std::string& from, const std::string& to) { cuts_.erase({from, to}); }
    void cut_both(const std::string& a, const std::string& b) {
        cut(a, b);
        cut(b, a);
    }
    void heal_both(const std::string& a, const std::string& b) {
        heal(a, b);
        heal(b, a);
    }
    /// Cuts every link between the two groups, in both directions.
    void partition(const std::vector<std::string>& some, const std::vector<std::string>& others) {
        for (const auto& a : some)
            for (const auto& b : others) cut_both(a, b);
    }
    /// Cuts a node off from all others, also from nodes that are created later, until `rejoin` or `heal_all`.
    void isolate(const std::string& name) { isolated_.insert(name); }
    void rejoin(const std::string& name) { isolated_.erase(name); }
    /// Ends all cuts and isolations. Qualities and filters stay.
    void heal_all() {
        cuts_.clear();
        isolated_.clear();
    }

    bool is_cut(const std::string& from, const std::string& to) const {
        if (!isolated_.empty() && from != to && (isolated_.contains(from) || isolated_.contains(to))) return true;
        return !cuts_.empty() && cuts_.contains({from, to});
    }

    /// Adds a filter. Each frame passes all filters in order when it is sent; delays are added, copies are multiplied.
    void add_filter(Filter filter) { filters_.push_back(std::move(filter)); }
    void clear_filters() { filters_.clear(); }

    /// Adds a filter that drops each frame to or from one of `names` with `probability`, except frames to or from one
    /// of `spared`. Example: with the view service spared, requests of clients are lost before they are executed and
    /// answers after that, but no ping is lost.
    void add_unreliable(std::vector<std::string> names, double probability, std::vector<std::string> spared = {}) {
        const auto about = [](const std::vector<std::string>& some, const Packet& packet) {
            const auto is_endpoint = [&](const auto& name) { return name == packet.from || name == packet.to; };
            return std::ranges::any_of(some, is_endpoint);
        };
        auto random = random_.split("unreliable", filters_.size());
        add_filter([=](const Packet& packet) mutable {
            const bool lost = about(names, packet) && !about(spared, packet) && random.chance(probability);
            return lost ? Fate::drop() : Fate::deliver();
        });
    }

    /// Decides about one frame that is being sent: first the filters, then the link's loss and repeats.
    Fate judge(const Packet& packet, const LinkQuality& link) {
        Fate sum;
        for (const auto& filter : filters_) {
            const auto fate = filter(packet);
            sum.copies *= fate.copies;
            sum.delay += fate.delay;
        }
        if (random_.chance(link.loss)) sum.copies = 0;
        if (random_.chance(link.repeat)) sum.copies *= 2;
        return sum;
    }

    /// How much later than the original a repeated frame arrives: usually little, sometimes so late (3 s, or the link's
    /// largest latency) that the call has ended.
    Duration lateness(const LinkQuality& link) {
        return random_.heavy_tail(std::max(link.latency_least, Duration{1}), std::max(link.latency_most, Duration{3s}));
    }
    /// A random latency of this link.
    Duration latency(const LinkQuality& link) {
        if (!link.heavy_tail) return random_.between(link.latency_least, link.latency_most);
        return random_.heavy_tail(std::max(link.latency_least, Duration{1}), link.latency_most);
    }

private:
    using Pair = std::pair<std::string, std::string>;

    Random random_;
    LinkQuality everywhere_;
    std::map<Pair, LinkQuality> qualities_;
    std::set<Pair> cuts_;
    std::set<std::string> isolated_;
    std::vector<Filter> filters_;
};

}  // namespace understudy::sim
