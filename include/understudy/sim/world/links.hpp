// What the network does to what passes between two parties: latency, loss, repeats, cuts, and filters.
// Links are directed and named by parties: a server by its address, a client by the name that it was given.
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

/// How good one direction of a link is. Loss and repeats happen to whole frames, while the connection stays up.
struct LinkQuality {
    Duration latency_least = 100us;
    Duration latency_most = 1ms;
    double loss = 0;          ///< The probability that a frame is lost.
    double repeat = 0;        ///< The probability that a frame arrives twice, the second time up to 3 s later.
    bool heavy_tail = false;  ///< Most latencies are near the least; each doubling is half as likely.
    bool reorder = false;     ///< Each frame has a latency of its own and may overtake; else a connection keeps order.
};

/// One frame, as a filter sees it.
struct Packet {
    Time time;
    std::string_view from;
    std::string_view to;
    std::string_view payload;
};

/// What shall become of a frame. On a link that keeps order, a delay also holds up what follows.
struct Fate {
    int copies = 1;
    Duration delay{};

    static constexpr Fate deliver() { return {}; }
    static constexpr Fate drop() { return {.copies = 0, .delay = {}}; }
    static constexpr Fate delayed(Duration by) { return {.copies = 1, .delay = by}; }
    static constexpr Fate duplicate() { return {.copies = 2, .delay = {}}; }
};

using Filter = std::function<Fate(const Packet&)>;

/// The faults of all links. Whoever holds one may change it at any time.
class Links {
public:
    explicit Links(Random random) : random_{random} {}

    /// The quality of every link that has none of its own.
    void set_quality(LinkQuality quality) { everywhere_ = quality; }
    void set_quality(const std::string& from, const std::string& to, LinkQuality quality) {
        qualities_.insert_or_assign({from, to}, quality);
    }
    const LinkQuality& quality(const std::string& from, const std::string& to) const {
        if (qualities_.empty()) return everywhere_;
        auto found = qualities_.find({from, to});
        return found == qualities_.end() ? everywhere_ : found->second;
    }

    /// From now on nothing of `from` reaches `to`, not even what is on its way; neither end notices.
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
    /// Cuts every link between the two groups, both ways.
    void partition(const std::vector<std::string>& some, const std::vector<std::string>& others) {
        for (const auto& a : some)
            for (const auto& b : others) cut_both(a, b);
    }
    /// Cuts a party off from everybody else, those yet to come too, until `rejoin`.
    void isolate(const std::string& name) { isolated_.insert(name); }
    void rejoin(const std::string& name) { isolated_.erase(name); }
    void heal_all() {
        cuts_.clear();
        isolated_.clear();
    }

    bool is_cut(const std::string& from, const std::string& to) const {
        if (!isolated_.empty() && from != to && (isolated_.contains(from) || isolated_.contains(to))) return true;
        return !cuts_.empty() && cuts_.contains({from, to});
    }

    /// Filters are asked in order for each frame as it is sent; their delays add up, and the copies multiply.
    void add_filter(Filter filter) { filters_.push_back(std::move(filter)); }
    void clear_filters() { filters_.clear(); }

    /// Drops each frame to or from one of `names` with `probability`, but none to or from one of `spared`:
    /// with the view service spared, requests are lost before they are handled and answers after, and no ping is.
    void add_unreliable(std::vector<std::string> names, double probability, std::vector<std::string> spared = {}) {
        const auto about = [](const std::vector<std::string>& some, const Packet& packet) {
            const auto is_party = [&](const auto& name) { return name == packet.from || name == packet.to; };
            return std::ranges::any_of(some, is_party);
        };
        auto random = random_.split("unreliable", filters_.size());
        add_filter([=](const Packet& packet) mutable {
            const bool lost = about(names, packet) && !about(spared, packet) && random.chance(probability);
            return lost ? Fate::drop() : Fate::deliver();
        });
    }

    /// Decides about one frame: by the filters, then by the link's own loss and repeats.
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

    /// How much later than the first a copy arrives: mostly a little, now and then when all is over.
    Duration lateness(const LinkQuality& link) {
        return random_.heavy_tail(std::max(link.latency_least, Duration{1}), std::max(link.latency_most, Duration{3s}));
    }
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
