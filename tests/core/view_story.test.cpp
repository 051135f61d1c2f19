// The life of one group, told step by step: the classic course of a view service with one backup.
#include <doctest/doctest.h>

#include <tests/support/view_stage.hpp>

using namespace understudy;
using namespace understudy::test;

TEST_SUITE("core/view_story") {
    TEST_CASE("R0 R3: the first server leads alone and the second becomes its backup after the ack") {
        ViewStage stage;
        CHECK(stage.ping("1", 0).info.view.number == 1);
        CHECK(stage.shown() == "view 1: primary 1, no backup");
        stage.ping("2", 0);
        CHECK(stage.shown() == "view 1: primary 1, no backup");  // not acked yet
        stage.ack();
        CHECK(stage.shown() == "view 2: primary 1, backup 2 (joining)");
    }

    TEST_CASE("R1: the backup takes over from a silent primary within two D") {
        ViewStage stage;
        stage.set_up({"1", "2"});
        stage.run(2 * dead, {"2"});
        CHECK(stage.shown() == "view 3: primary 2, no backup");
    }

    TEST_CASE("R3: a restarted primary comes back as backup of its successor") {
        ViewStage stage;
        stage.set_up({"1", "2"});
        stage.run(2 * dead, {"2"});
        stage.restart("1");
        stage.ack();
        stage.ping("1", 0);
        CHECK(stage.shown() == "view 4: primary 2, backup 1 (joining)");
    }

    TEST_CASE("R1: an idle third server fills the backup's place in the same view") {
        ViewStage stage;
        stage.set_up({"2", "1", "3"});
        CHECK(stage.shown() == "view 2: primary 2, backup 1 (in sync)");
        stage.run(2 * dead, {"1", "3"});
        CHECK(stage.view().number == 3);
        CHECK(stage.view().primary.name == "1");
        REQUIRE(stage.view().backup("3"));
    }

    TEST_CASE("R1: a primary that restarts without ever falling silent is dead") {
        ViewStage stage;
        stage.set_up({"1", "3"});
        stage.restart("1");
        stage.ping("1", 0);
        CHECK(stage.shown() == "view 3: primary 3, backup 1 (joining)");
    }

    TEST_CASE("R2: a backup that falls silent is removed") {
        ViewStage stage;
        stage.set_up({"3", "1"});
        stage.run(3 * dead, {"3"});
        CHECK(stage.shown() == "view 3: primary 3, no backup");
    }

    TEST_CASE("R4: a backup that the primary never acked is not promoted") {
        ViewStage stage;
        stage.ping("3", 0);
        stage.ack();
        stage.ping("1", 0);
        auto waiting = stage.view();
        CHECK(describe(waiting) == "view 2: primary 3, backup 1 (joining)");
        stage.run(3 * dead, {"1"});
        CHECK(stage.view() == waiting);
    }

    TEST_CASE("R4: an idle server is not promoted when all others die") {
        ViewStage stage;
        stage.set_up({"1", "3", "2"});
        stage.run(2 * dead, {"1", "3", "2"});
        auto before = stage.view();
        stage.run(2 * dead, {"2"});
        CHECK(stage.view().primary.name == "1");
        CHECK(stage.view() == before);
    }

    TEST_CASE("R1 R2 R3: three servers go round and no number is skipped") {
        ViewStage stage;
        stage.set_up({"1", "2", "3"});
        std::vector<std::string> names{"1", "2", "3"};
        for (int round = 0; round < 12; ++round) {
            auto before = stage.view().number;
            auto victim = stage.view().primary.name;
            stage.restart(victim);
            stage.ping(victim, 0);
            CHECK(stage.view().number == before + 1);
            CHECK(stage.view().primary.name != victim);
            stage.run(5 * interval, names);
            CHECK(stage.status().acked);
        }
    }
}
