// Turns that are fair to all connections: order, bounds and preference, without sockets.
#include <doctest/doctest.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include <understudy/base/fair_queue.hpp>

TEST_SUITE("fair_queue") {
    namespace {

    using Queue = understudy::detail::FairQueue<std::string>;
    using Turn = std::vector<std::string>;

    Queue::SourcePointer source(bool preferred = false) { return std::make_shared<Queue::Source>(preferred); }

    /// Adds items of that weight as long as the queue admits more; returns their number.
    std::size_t fill(Queue & queue, const Queue::SourcePointer& from, const std::string& name, std::size_t weight) {
        std::size_t count = 0;
        for (; queue.may_add(*from); ++count) queue.push(from, name + std::to_string(count), weight);
        return count;
    }

    }  // namespace

    TEST_CASE("what fits into a turn comes in the order in which it came") {
        Queue queue{100};
        const auto a = source(), b = source(true);
        queue.push(a, "a1", 10);
        queue.push(b, "b1", 10);
        queue.push("of nobody");
        queue.push(a, "a2", 10);
        CHECK(queue.take() == Turn{"a1", "b1", "of nobody", "a2"});
        CHECK(queue.empty());
        CHECK(queue.take().empty());
    }

    TEST_CASE("what does not fit is taken round robin and each source keeps its order") {
        Queue queue{100};
        const auto a = source(), b = source();
        for (int i = 0; i < 10; ++i) queue.push(a, "a" + std::to_string(i), 50);
        queue.push(b, "b0", 50);
        queue.push(b, "b1", 50);
        CHECK(queue.take() == Turn{"a0", "a1"});
        CHECK(queue.take() == Turn{"a2", "b0"});
        CHECK(queue.take() == Turn{"a3", "b1"});
        CHECK(queue.take() == Turn{"a4", "a5"});
    }

    TEST_CASE("what is handled at once counts to the next turn") {
        Queue queue{100};
        const auto a = source(), b = source();
        CHECK(queue.try_handle_now(a, 500));  // the first item of a turn may be larger than a turn
        CHECK_FALSE(queue.empty());
        CHECK_FALSE(queue.try_handle_now(b, 1));
        queue.push(b, "b0", 1);
        CHECK_FALSE(queue.take_handled());
        CHECK(queue.take().empty());
        CHECK(queue.take() == Turn{"b0"});
        CHECK(queue.empty());
        CHECK(queue.try_handle_now(a, 500));
        CHECK(queue.take_handled());
        CHECK(queue.empty());
        queue.push(a, "a0", 60);  // the new turn has its whole weight left
        queue.push(b, "b1", 40);
        CHECK_FALSE(queue.take_handled());
        CHECK(queue.take() == Turn{"a0", "b1"});
        CHECK(queue.try_handle_now(a, 60));
        queue.push(a, "a1", 60);
        queue.push(b, "b1", 40);
        CHECK(queue.take() == Turn{});
        CHECK(queue.take() == Turn{"a1", "b1"});
        CHECK(queue.try_handle_now(a, 60));
        queue.clear();
        CHECK(queue.empty());
    }

    TEST_CASE("what is handled at once overtakes nothing that comes first") {
        Queue queue{100};
        const auto a = source(), b = source();
        queue.push(a, "a0", 10);
        CHECK_FALSE(queue.try_handle_now(b, 10));
        CHECK(queue.take() == Turn{"a0"});
        queue.bar(a, true);
        CHECK_FALSE(queue.try_handle_now(a, 10));
        CHECK(queue.try_handle_now(b, 10));
    }

    TEST_CASE("a preferred source need not wait for what waits of others") {
        Queue queue{100};
        const auto a = source(), member = source(true);
        for (int i = 0; i < 3; ++i) queue.push(a, "a" + std::to_string(i), 100);
        CHECK(queue.take() == Turn{"a0"});
        CHECK_FALSE(queue.try_handle_now(a, 1));
        CHECK(queue.try_handle_now(member, 10));
        queue.push(member, "m0", 80);
        CHECK(queue.take() == Turn{"m0"});
        CHECK(queue.take() == Turn{"a1"});
    }

    TEST_CASE("preferred sources come first") {
        Queue queue{100};
        const auto a = source(), member = source(true);
        for (int i = 0; i < 6; ++i) queue.push(a, "a" + std::to_string(i), 50);
        CHECK(queue.take() == Turn{"a0", "a1"});
        for (int i = 0; i < 3; ++i) queue.push(member, "m" + std::to_string(i), 50);
        CHECK(queue.take() == Turn{"m0", "m1"});
        CHECK(queue.take() == Turn{"m2", "a2"});
        queue.prefer(a, true);
        queue.prefer(member, false);
        queue.push(member, "m3", 50);
        CHECK(queue.take() == Turn{"a3", "a4"});
        CHECK(queue.take() == Turn{"a5", "m3"});
    }

    TEST_CASE("a source over its bound may add no more until it was served") {
        Queue queue{100};
        const auto many = source(), large = source(), other = source();
        CHECK(fill(queue, many, "m", 1) == 100 + 800);  // one turn, and eight more
        CHECK(fill(queue, large, "l", 300) == 3);
        while (!queue.may_add(*many)) CHECK(queue.take().size() <= 100);
        while (!queue.may_add(*large)) CHECK(queue.take().size() <= 100);
        Queue roomy{1'000'000};
        const auto pressing = source();
        roomy.push(pressing, "first", 1'000'000);
        CHECK(fill(roomy, pressing, "p", 1) == 1024);
    }

    TEST_CASE("while much waits over all a source without anything may still add one") {
        Queue queue{100};
        std::vector<Queue::SourcePointer> floods;
        for (int i = 0; i < 10; ++i) fill(queue, floods.emplace_back(source()), "f", 50);
        const auto late = source();
        CHECK(fill(queue, late, "late", 10) == 1);
        bool heard = false;
        for (int turn = 0; turn < 8; ++turn)
            for (const auto& item : queue.take()) heard = heard || item == "late0";
        CHECK(heard);
    }

    TEST_CASE("nothing of a barred source is taken and all of it once it is not barred") {
        Queue queue{100};
        const auto a = source(), b = source();
        queue.push(a, "a0", 100);
        queue.push(a, "a1", 60);
        queue.push(b, "b0", 60);
        queue.bar(a, true);
        CHECK(queue.take() == Turn{"a0"});  // it was in the next turn already
        queue.push(a, "a2", 10);
        CHECK(queue.take() == Turn{"b0"});
        CHECK(queue.empty());
        queue.bar(a, false);
        queue.bar(a, false);
        CHECK_FALSE(queue.empty());
        CHECK(queue.take() == Turn{"a1", "a2"});
    }

    TEST_CASE("an item larger than a turn comes alone and is not passed by for ever") {
        Queue queue{100};
        const auto a = source(), b = source();
        queue.push(a, "a0", 60);
        queue.push(b, "large", 1000);
        for (int i = 1; i < 5; ++i) queue.push(a, "a" + std::to_string(i), 60);
        CHECK(queue.take() == Turn{"a0"});
        CHECK(queue.take() == Turn{"large"});
        CHECK(queue.take() == Turn{"a1"});
    }

    TEST_CASE("an emptied queue holds nothing and sources can be used again") {
        Queue queue{100};
        const auto a = source();
        fill(queue, a, "a", 50);
        queue.clear();
        CHECK(queue.empty());
        queue.push(a, "anew", 50);
        CHECK(queue.take() == Turn{"anew"});
    }
}
