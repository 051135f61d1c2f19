// Many clients write a few keys concurrently; then the primary dies, and the backup must have the same values.
#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <tests/support/cluster.hpp>

using namespace understudy;
using namespace understudy::test;

TEST_SUITE("pbservice") {
    namespace {

    /// Calls `next(client)` whenever the client's previous call has ended, until `next` returns no call.
    void keep_busy(Cluster& group, int clients, std::function<std::shared_ptr<Ended>(int)> next) {
        std::vector<std::shared_ptr<Ended>> calls(static_cast<std::size_t>(clients));
        auto all_done = [&] {
            bool idle = true;
            for (int n = 0; n < clients; ++n) {
                auto& call = calls[static_cast<std::size_t>(n)];
                if (call && !call->done) {
                    idle = false;
                    continue;
                }
                if (call) CHECK_FALSE(call->ec);
                call = next(n);
                idle = idle && !call;
            }
            return idle;
        };
        CHECK(group.harness().until(all_done, 600s));
    }

    void kill_primary_and_wait(Cluster& group) {
        REQUIRE(group.wait_ready(1, 20 * D));
        const int successor = group.backup();
        group.kill(group.primary());
        REQUIRE(group.harness().until([&] { return group.primary() == successor; }, 4 * D));
    }

    void concurrent_puts(Harness& harness, int servers, bool unreliable) {
        Cluster group{harness};
        for (int n = 1; n <= servers; ++n) {
            if (unreliable) group.make_unreliable(n);
            group.start(n);
        }
        REQUIRE(group.wait_ready(1, 20 * D));
        const auto end = harness.now() + 5s;
        keep_busy(group, 8, [&](int n) -> std::shared_ptr<Ended> {
            if (harness.now() >= end) return nullptr;
            return group.put(std::to_string(harness.random() % 2), std::to_string(harness.random()), n + 1);
        });
        const auto first = group.must_get("0");
        const auto second = group.must_get("1");
        CHECK_FALSE(first.empty());
        kill_primary_and_wait(group);
        CHECK(group.must_get("0") == first);
        CHECK(group.must_get("1") == second);
    }

    void concurrent_appends(Harness& harness) {
        Cluster group{harness};
        for (int n = 1; n <= 2; ++n) group.start(n);
        REQUIRE(group.wait_ready(1));
        std::vector<int> next(3, 0);
        keep_busy(group, 3, [&](int n) -> std::shared_ptr<Ended> {
            auto& i = next[static_cast<std::size_t>(n)];
            if (i == 50) return nullptr;
            return group.append("k", "x " + std::to_string(n) + " " + std::to_string(i++) + " y", n + 1);
        });
        const auto value = group.must_get("k");
        std::size_t length = 0;
        for (int n = 0; n < 3; ++n) {
            std::size_t last = 0;
            for (int i = 0; i < 50; ++i) {
                const auto element = "x " + std::to_string(n) + " " + std::to_string(i) + " y";
                const auto at = value.find(element);
                REQUIRE(at != std::string::npos);
                CHECK(value.find(element, at + 1) == std::string::npos);
                CHECK(at + 1 > last);
                last = at + 1;
                length += element.size();
            }
        }
        CHECK(value.size() == length);
        kill_primary_and_wait(group);
        CHECK(group.must_get("k") == value);
    }

    }  // namespace

    TEST_CASE("Concurrent Put()s to the same key") {
        in_every_world([](Harness& harness) { concurrent_puts(harness, 2, false); }, 3);
    }
    TEST_CASE("Concurrent Append()s to the same key") {
        in_every_world([](Harness& harness) { concurrent_appends(harness); });
    }
    TEST_CASE("Concurrent Put()s to the same key; unreliable") {
        in_every_world([](Harness& harness) { concurrent_puts(harness, 8, true); }, 3);
    }
}
