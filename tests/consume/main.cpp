// What every host here compiles and runs.
#include <iostream>

#include <asio/io_context.hpp>
#include <nlohmann/json.hpp>

#include <understudy/store.hpp>
#include <understudy/transport.hpp>

struct Counter {
    using Command = int;
    using Query = int;
    using Reply = int;
    int value = 0;
    int apply(int command) { return value += command; }
    int query(int) const { return value; }
    std::string snapshot() const { return nlohmann::json(value).dump(); }
    void restore(std::string_view bytes) { value = nlohmann::json::parse(bytes); }
};
static_assert(understudy::Store<Counter>);

int main() {
    asio::io_context context;
    Counter counter;
    std::cout << "counter: " << counter.apply(1) << '\n';
}
