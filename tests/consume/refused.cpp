// A host with a store, a part of which is missing: `-DWITHOUT_QUERY` and so on (refused.py). The compiler has to refuse
// it in the line that names it, and to say which part it is. Without such a macro this compiles.
#include <string>
#include <string_view>

#if !defined(WITHOUT_HEADER)
#include <nlohmann/json.hpp>
#endif

#if defined(AS_SERVICE)
#include <understudy/net/tcp.hpp>
#include <understudy/pb_service.hpp>
#else
#include <understudy/store.hpp>
#endif

struct Add {
    int amount = 0;
};
struct Total {};
struct Sum {
    int value = 0;
};

#if !defined(WITHOUT_HEADER)
#if !defined(WITHOUT_COMMAND_JSON)
void from_json(const nlohmann::json& json, Add& add) { json.get_to(add.amount); }
void to_json(nlohmann::json& json, const Add& add) { json = add.amount; }
#endif
void from_json(const nlohmann::json&, Total&) {}
void to_json(nlohmann::json& json, const Total&) { json = nullptr; }
void from_json(const nlohmann::json& json, Sum& sum) { json.get_to(sum.value); }
#if !defined(WITHOUT_REPLY_JSON)
void to_json(nlohmann::json& json, const Sum& sum) { json = sum.value; }
#endif
#endif

struct Adder {
    using Command = Add;
    using Query = Total;
#if !defined(WITHOUT_TYPE)
    using Reply = Sum;
#endif

    Sum apply(const Add& add) { return {sum += add.amount}; }
#if !defined(WITHOUT_QUERY)
    Sum query(const Total&) const { return {sum}; }
#endif
    std::string snapshot() const { return std::to_string(sum); }
#if !defined(WITHOUT_RESTORE)
    void restore(std::string_view text) { sum = std::stoi(std::string{text}); }
#endif
#if defined(WITHOUT_COPY)
    Adder(Adder&&) = default;
#endif

    int sum = 0;
};

// In place of the service and the client, whose headers take longer to compile, templates with the same constraint.
template <understudy::Store S>
class Service;
template <understudy::StoreApi S>
class Client;

#if defined(AS_SERVICE)
using Host = understudy::PBService<Adder, understudy::net::TcpTransport>;
#elif defined(AS_CLIENT)
using Host = Client<Adder>;
#else
using Host = Service<Adder>;
#endif
