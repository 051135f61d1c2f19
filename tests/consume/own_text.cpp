// If a host's store encodes and decodes its own text, the host does not need nlohmann::json. With WITHOUT_TEXT the
// store relies on nlohmann::json, which is not included: the compiler's error must say what to do.
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <understudy/clerk.hpp>
#include <understudy/net/tcp.hpp>
#include <understudy/understudy.hpp>

#if defined(INCLUDE_NLOHMANN_JSON_HPP_)
#error "a header of the library includes nlohmann/json.hpp"
#endif

struct Sum {
    using Command = std::int64_t;
    using Query = std::int64_t;
    using Reply = std::int64_t;

#if !defined(WITHOUT_TEXT)
    static std::int64_t number(std::string_view text) {
        std::int64_t value = 0;
        std::from_chars(text.data(), text.data() + text.size(), value);
        return value;
    }
    static Command decode_command(std::string_view text) { return number(text); }
    static Query decode_query(std::string_view text) { return number(text); }
    static Reply decode_reply(std::string_view text) { return number(text); }
    static std::string encode(Reply reply) { return std::to_string(reply); }
    static std::string encode_command(Command command) { return std::to_string(command); }
    static std::string encode_query(Query query) { return std::to_string(query); }
#endif

    Reply apply(Command command) { return sum += command; }
    Reply query(Query query) const { return sum + query; }
    std::string snapshot() const { return std::to_string(sum); }
    void restore(std::string_view text) { std::from_chars(text.data(), text.data() + text.size(), sum); }

    std::int64_t sum = 0;
};

using Transport = understudy::net::TcpTransport;

asio::awaitable<std::int64_t> add(understudy::Client<Sum, Transport>& client) {
    co_return co_await client.async_execute(Sum::Command{3});
}
std::int64_t serve(Transport transport) {
    const understudy::PBService<Sum, Transport> server{Sum{}, std::move(transport), {}};
    return server.store().sum;
}
