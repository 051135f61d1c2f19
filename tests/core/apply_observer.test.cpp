// An installed observer is called for each entry that a replica applies.
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <tests/support/list_store.hpp>
#include <understudy/replica/replicated_state.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::replica;
using namespace understudy::client;

TEST_SUITE("core/apply observer") {
    namespace {
    using State = ReplicatedState<test::ListStore>;

    struct Emitted {
        const void* replica;
        Index index;
        bool effective;
        friend bool operator==(const Emitted&, const Emitted&) = default;
    };
    std::vector<Emitted> emitted;
    void note(const void* replica, const Entry& entry, bool effective) {
        emitted.push_back({replica, entry.at.index, effective});
    }

    void commit(State& state, EntryKind kind, SessionId session = {}, Sequence seq = 0) {
        state.log.append({{1, state.log.last().index + 1}, kind, session, seq, 0, "x"});
        ++state.commit;
        state.apply_next(Time{});
    }
    }  // namespace

    TEST_CASE("an observer is told of each entry applied and of whether it took effect") {
        State one{test::ListStore{}}, two{test::ListStore{}};
        const SessionId session{1, 1};
        emitted.clear();
        const auto before = set_apply_observer(&note);
        commit(one, EntryKind::open);
        commit(one, EntryKind::command, session, 1);
        commit(one, EntryKind::command, session, 1);  // S10: a repeated command
        commit(one, EntryKind::command, SessionId{9, 9}, 1);
        commit(two, EntryKind::command);
        CHECK((set_apply_observer(before) == &note));
        commit(two, EntryKind::command);
        CHECK(emitted == std::vector<Emitted>{
                             {&one, 1, true}, {&one, 2, true}, {&one, 3, false}, {&one, 4, false}, {&two, 1, true}});
    }
}
