// A batch encoded as a payload: the hard state of a server is decoded again, and older programs can read the payload
// too.
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

    JournalBatch batch_of(HardState hard_state) {
        JournalBatch batch;
        batch.hard_state = std::move(hard_state);
        return batch;
    }
    HardState read_back(const HardState& hard_state) {
        std::string payload;
        encode_batch(payload, batch_of(hard_state), Log{});
        std::vector<EntryView> entries;
        const auto decoded = decode_batch(payload, entries);
        REQUIRE(decoded);
        return decoded->hard_state.value();
    }

    }  // namespace

    TEST_CASE("a hard state comes back as it was") {
        HardState hard_state{"a", {"main", ClusterId{7}, std::chrono::milliseconds{100}, {}}, {Incarnation{5}}};
        CHECK(read_back(hard_state) == hard_state);
        hard_state.info.view = {3, {"a", Incarnation{4}, false}, {{"b", Incarnation{6}, true}}, 2};
        hard_state.incarnations.clear();
        CHECK(read_back(hard_state) == hard_state);
        hard_state.incarnations = {Incarnation{4}, Incarnation{5}};
        hard_state.state_view = 2;
        CHECK(read_back(hard_state) == hard_state);
    }
    TEST_CASE("a state as new as the view takes no room and an older one stands where older programs expect lives") {
        HardState hard_state{
            "a", {"main", ClusterId{7}, {}, {3, {"a", Incarnation{4}, false}, {}, 0}}, {Incarnation{4}}};
        std::string usual, same, older, processes;
        encode_batch(usual, batch_of(hard_state), Log{});
        hard_state.state_view = 3;
        encode_batch(same, batch_of(hard_state), Log{});
        CHECK(same == usual);
        hard_state.state_view = 2;
        encode_batch(older, batch_of(hard_state), Log{});
        hard_state.state_view = 0;
        hard_state.incarnations = {Incarnation{2}, Incarnation::none, Incarnation{2}, Incarnation{4}};
        encode_batch(processes, batch_of(hard_state), Log{});
        CHECK(older.size() + 1 == processes.size());
    }
}
