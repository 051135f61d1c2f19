// For twenty seconds servers are killed and come back without state, again and again, while clients write and check.
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <tests/support/cluster.hpp>

using namespace understudy;
using namespace understudy::test;

TEST_SUITE("pbservice") {
    namespace {

    /// Kills a random server and restarts it 2 D later, again and again. A kill happens at the earliest 2 D after the
    /// last restart and only when the view is acked with its backup in sync; otherwise the group would rightly wait for
    /// ever.
    class Killer {
    public:
        Killer(Cluster& group, int servers) : group_{group}, servers_{servers}, next_{group.harness().now() + 2 * D} {}

        void look() {
            const auto now = group_.harness().now();
            if (now < next_) return;
            if (dead_) {
                group_.start(*dead_);
                dead_.reset();
            } else {
                if (!group_.ready(1)) return;
                dead_ = 1 + static_cast<int>(group_.harness().random() % static_cast<std::uint64_t>(servers_));
                group_.kill(*dead_);
                ++kills;
            }
            next_ = now + 2 * D;
        }
        int kills = 0;

    private:
        Cluster& group_;
        int servers_;
        Time next_;
        std::optional<int> dead_;
    };

    struct Scene {
        explicit Scene(Harness& world, bool unreliable) : harness{world}, group{world}, killer{group, servers} {
            for (int n = 1; n <= servers; ++n) {
                if (unreliable) group.make_unreliable(n);
                group.start(n);
            }
            REQUIRE(group.wait_ready(1, 20 * D));
            end = harness.now() + 20s;
        }
        /// Runs the clients and the killer; `look` starts a client's next call when it has none.
        template <typename Look>
        void play(Look look) {
            CHECK(harness.until(
                [&] {
                    if (harness.now() < end) killer.look();
                    bool idle = true;
                    for (std::size_t n = 0; n < 2; ++n) idle = look(n) && idle;
                    return idle && harness.now() >= end;
                },
                120s));
            CHECK(killer.kills >= 3);
            group.must_put("a", "b");
            CHECK(group.must_get("a") == "b");
        }

        static constexpr int servers = 9;
        Harness& harness;
        Cluster group;
        Killer killer;
        Time end{};
    };

    /// A client that puts random values to keys of its own and checks that every get returns its last put.
    struct Checker {
        std::shared_ptr<Ended> call;
        std::map<std::string, std::string> data;
        std::string key;
        bool reading = false;

        bool look(Scene& scene, std::size_t n) {
            if (call && !call->done) return false;
            if (call) {
                CHECK_FALSE(call->ec);
                if (reading) CHECK(call->value == data[key]);
                call.reset();
            }
            if (scene.harness.now() >= scene.end) return true;
            reading = !reading;
            if (reading) {
                key = std::to_string(n) + ":" + std::to_string(scene.harness.random() % 10);
                call = scene.group.get(key, static_cast<int>(n) + 1);
            } else {
                data[key] = std::to_string(scene.harness.random());
                call = scene.group.put(key, data[key], static_cast<int>(n) + 1);
            }
            return false;
        }
    };

    void put_and_check(Harness& harness) {
        Scene scene{harness, false};
        std::vector<Checker> clients(2);
        scene.play([&](std::size_t n) { return clients[n].look(scene, n); });
    }

    void append_and_check(Harness& harness) {
        Scene scene{harness, true};
        std::vector<std::shared_ptr<Ended>> calls(2);
        std::vector<int> sent(2, 0);
        scene.play([&](std::size_t n) {
            auto& call = calls[n];
            if (call && !call->done) return false;
            if (call) CHECK_FALSE(call->ec);
            call.reset();
            if (scene.harness.now() >= scene.end) return true;
            call = scene.group.append("0", "x " + std::to_string(n) + " " + std::to_string(sent[n]++) + " y",
                                      static_cast<int>(n) + 1);
            return false;
        });
        const auto value = scene.group.must_get("0");
        for (std::size_t n = 0; n < 2; ++n) {
            std::size_t last = 0;
            CHECK(sent[n] > 10);
            for (int i = 0; i < sent[n]; ++i) {
                const auto element = "x " + std::to_string(n) + " " + std::to_string(i) + " y";
                const auto at = value.find(element);
                REQUIRE(at != std::string::npos);
                CHECK(value.find(element, at + 1) == std::string::npos);
                CHECK(at + 1 > last);
                last = at + 1;
            }
        }
    }

    }  // namespace

    TEST_CASE("Repeated failures/restarts") {
        in_every_world([](Harness& harness) { put_and_check(harness); }, 3);
    }
    TEST_CASE("Repeated failures/restarts with concurrent updates to same key; unreliable") {
        in_every_world([](Harness& harness) { append_and_check(harness); }, 3);
    }
}
