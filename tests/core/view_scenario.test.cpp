// The course of one group, step by step: the classic example of a view service with one backup.
#include <doctest/doctest.h>

#include <tests/support/view_harness.hpp>

using namespace understudy;
using namespace understudy::test;

TEST_SUITE("core/view_scenario") {
    TEST_CASE("R0 R3: the first server leads alone and the second becomes its backup after the ack") {
        ViewHarness harness;
        CHECK(harness.ping("1", 0).info.view.number == 1);
        CHECK(harness.shown() == "view 1: primary 1, no backup");
        harness.ping("2", 0);
        CHECK(harness.shown() == "view 1: primary 1, no backup");  // not acked yet
        harness.ack();
        CHECK(harness.shown() == "view 2: primary 1, backup 2 (joining)");
    }

    TEST_CASE("R1: the backup takes over from a silent primary within two D") {
        ViewHarness harness;
        harness.set_up({"1", "2"});
        harness.run(2 * dead, {"2"});
        CHECK(harness.shown() == "view 3: primary 2, no backup");
    }

    TEST_CASE("R3: a restarted primary comes back as backup of its successor") {
        ViewHarness harness;
        harness.set_up({"1", "2"});
        harness.run(2 * dead, {"2"});
        harness.restart("1");
        harness.ack();
        harness.ping("1", 0);
        CHECK(harness.shown() == "view 4: primary 2, backup 1 (joining)");
    }

    TEST_CASE("R1: an idle third server fills the backup's place in the same view") {
        ViewHarness harness;
        harness.set_up({"2", "1", "3"});
        CHECK(harness.shown() == "view 2: primary 2, backup 1 (in sync)");
        harness.run(2 * dead, {"1", "3"});
        CHECK(harness.view().number == 3);
        CHECK(harness.view().primary.name == "1");
        REQUIRE(harness.view().backup("3"));
    }

    TEST_CASE("R1: a primary that restarts without ever falling silent is dead") {
        ViewHarness harness;
        harness.set_up({"1", "3"});
        harness.restart("1");
        harness.ping("1", 0);
        CHECK(harness.shown() == "view 3: primary 3, backup 1 (joining)");
    }

    TEST_CASE("R2: a backup that falls silent is removed") {
        ViewHarness harness;
        harness.set_up({"3", "1"});
        harness.run(3 * dead, {"3"});
        CHECK(harness.shown() == "view 3: primary 3, no backup");
    }

    TEST_CASE("R4: a backup that the primary never acked is not promoted") {
        ViewHarness harness;
        harness.ping("3", 0);
        harness.ack();
        harness.ping("1", 0);
        auto waiting = harness.view();
        CHECK(describe(waiting) == "view 2: primary 3, backup 1 (joining)");
        harness.run(3 * dead, {"1"});
        CHECK(harness.view() == waiting);
    }

    TEST_CASE("R4: an idle server is not promoted when all others die") {
        ViewHarness harness;
        harness.set_up({"1", "3", "2"});
        harness.run(2 * dead, {"1", "3", "2"});
        auto before = harness.view();
        harness.run(2 * dead, {"2"});
        CHECK(harness.view().primary.name == "1");
        CHECK(harness.view() == before);
    }

    TEST_CASE("R1 R2 R3: three servers go round and no number is skipped") {
        ViewHarness harness;
        harness.set_up({"1", "2", "3"});
        std::vector<std::string> names{"1", "2", "3"};
        for (int round = 0; round < 12; ++round) {
            auto before = harness.view().number;
            auto victim = harness.view().primary.name;
            harness.restart(victim);
            harness.ping(victim, 0);
            CHECK(harness.view().number == before + 1);
            CHECK(harness.view().primary.name != victim);
            harness.run(5 * interval, names);
            CHECK(harness.status().acked);
        }
    }
}
