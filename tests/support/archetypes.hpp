// The types with the fewest operations that satisfy the library's concepts. If code compiles with them, it requires no
// more than the concepts state.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include <understudy/store.hpp>

namespace understudy::test {

/// A Store with no more than the concept asks for: it can be copied, but not compared, default-constructed or printed.
/// Its types can only be moved, and converted to and from JSON. It adds numbers up.
class StoreArchetype {
public:
    struct Command {
        int add;
        static Command make(int add) { return Command{add}; }
        Command(Command&&) = default;
        Command& operator=(Command&&) = delete;

    private:
        explicit Command(int amount) : add{amount} {}
    };
    struct Query {
        Query() = default;
        Query(Query&&) = default;
    };
    struct Reply {
        explicit Reply(int value) : sum{value} {}
        Reply(Reply&&) = default;
        int sum;
    };

    explicit StoreArchetype(int sum) : sum_{sum} {}

    Reply apply(const Command& command) { return Reply{sum_ += command.add}; }
    Reply query(const Query&) const { return Reply{sum_}; }
    std::string snapshot() const { return std::to_string(sum_); }
    void restore(std::string_view bytes) { sum_ = std::stoi(std::string{bytes}); }

private:
    int sum_;
};

inline void from_json(const nlohmann::json& json, StoreArchetype::Query&) { json.get<nlohmann::json::object_t>(); }
inline void to_json(nlohmann::json& json, const StoreArchetype::Reply& reply) { json = reply.sum; }

}  // namespace understudy::test

/// A type without a default constructor is read through the serializer (nlohmann's documentation, arbitrary types).
template <>
struct nlohmann::adl_serializer<understudy::test::StoreArchetype::Command> {
    static understudy::test::StoreArchetype::Command from_json(const json& value) {
        return understudy::test::StoreArchetype::Command::make(value.get<int>());
    }
};

namespace understudy::test {

static_assert(Store<StoreArchetype> && SimpleSnapshot<StoreArchetype> && !StreamingSnapshot<StoreArchetype>);
// A client of it would need the other half of the JSON.
static_assert(!StoreApi<StoreArchetype>);

}  // namespace understudy::test
