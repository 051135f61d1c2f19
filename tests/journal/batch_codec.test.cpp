// A batch as a payload: what a server says of itself comes back, and older programs can read it too.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <understudy/journal/batch_codec.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::replica;

TEST_SUITE("batch_codec") {
    using namespace understudy::journal;

    namespace {

    JournalBatch batch_of(HardState standing) {
        JournalBatch batch;
        batch.standing = std::move(standing);
        return batch;
    }
    HardState read_back(const HardState& standing) {
        std::string payload;
        encode_batch(payload, batch_of(standing), Log{});
        std::vector<EntryView> entries;
        const auto decoded = decode_batch(payload, entries);
        REQUIRE(decoded);
        return decoded->standing.value();
    }

    }  // namespace

    TEST_CASE("a hard state comes back as it was") {
        HardState standing{"a", {"main", ClusterId{7}, std::chrono::milliseconds{100}, {}}, {Incarnation{5}}};
        CHECK(read_back(standing) == standing);
        standing.info.view = {3, {"a", Incarnation{4}, false}, {{"b", Incarnation{6}, true}}, 2};
        standing.lives.clear();
        CHECK(read_back(standing) == standing);
        standing.lives = {Incarnation{4}, Incarnation{5}};
        standing.state_view = 2;
        CHECK(read_back(standing) == standing);
    }
    TEST_CASE("a state as new as the view takes no room and an older one stands where older programs expect lives") {
        HardState standing{"a", {"main", ClusterId{7}, {}, {3, {"a", Incarnation{4}, false}, {}, 0}}, {Incarnation{4}}};
        std::string usual, same, older, lives;
        encode_batch(usual, batch_of(standing), Log{});
        standing.state_view = 3;
        encode_batch(same, batch_of(standing), Log{});
        CHECK(same == usual);
        standing.state_view = 2;
        encode_batch(older, batch_of(standing), Log{});
        standing.state_view = 0;
        standing.lives = {Incarnation{2}, Incarnation::none, Incarnation{2}, Incarnation{4}};
        encode_batch(lives, batch_of(standing), Log{});
        CHECK(older.size() + 1 == lives.size());
    }
}
