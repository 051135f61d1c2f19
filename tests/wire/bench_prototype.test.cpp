// The prototype of the benchmark (tests/bench/prototype): its client and servers as values. It is a limit for the
// library only if it writes the library's messages and ends with the right content.
#include <array>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <doctest/doctest.h>

#include <understudy/wire/json.hpp>

#include "tests/bench/prototype/client.hpp"
#include "tests/bench/prototype/servers.hpp"

TEST_SUITE("bench prototype") {
    using namespace understudy;
    using namespace understudy::bench::prototype;

    namespace {
    std::string taken(SendBuffer& from) {
        std::string text;
        std::array<asio::const_buffer, 3> room;
        while (!from.empty()) {
            std::size_t count = 0;
            for (const auto& piece : from.pieces(room)) {
                text.append(static_cast<const char*>(piece.data()), piece.size());
                count += piece.size();
            }
            from.sent(count);
        }
        return text;
    }

    /// A client (its peer 0 is the primary), a primary (0 is the backup, 1 the client), and a backup. What they send is
    /// carried `piece` bytes at a time.
    struct Fixture {
        Outbox from_client, from_primary, from_backup;
        Client client{from_client};
        Primary primary{from_primary, 0};
        Backup backup{from_backup};
        std::size_t piece = 1u << 20;
        std::vector<std::string> payloads;
        std::deque<ReceiveBuffer> received = std::deque<ReceiveBuffer>(4);

        Fixture() {
            from_client.add_peer();
            from_primary.add_peer();
            from_primary.add_peer();
            from_backup.add_peer();
            client.open(0, [](auto&) {});
            run();
        }
        void carry(SendBuffer& from, ReceiveBuffer& buffer, auto& to, PeerNumber peer) {
            for (std::string text = taken(from); !text.empty();) {
                const auto room = buffer.room();
                const auto count = std::min({room.size(), text.size(), piece});
                text.copy(static_cast<char*>(room.data()), count);
                text.erase(0, count);
                buffer.received(count, [&](std::string_view payload) {
                    payloads.emplace_back(payload);
                    to.receive(peer, payload);
                });
            }
            to.turn();
        }
        void run() {
            for (int i = 0; i < 4; ++i) {
                carry(from_client.buffer(0), received[0], primary, 1);
                carry(from_primary.buffer(0), received[1], backup, 0);
                carry(from_backup.buffer(0), received[2], primary, 0);
                carry(from_primary.buffer(1), received[3], client, 0);
            }
        }
        std::string execute(bool append, std::string_view key, std::string_view value) {
            std::string result = "nothing";
            client.execute(0, append, key, value, [&](const Answer& it) { result = it.value; });
            run();
            return result;
        }
        std::string get(std::string_view key) {
            std::string result = "nothing";
            client.get(0, key, [&](const Answer& it) { result = it.value; });
            run();
            return result;
        }
    };
    }  // namespace

    TEST_CASE("every message is what the library writes") {
        Fixture it;
        CHECK(it.execute(false, "a key", "a value") == "null");
        CHECK(it.execute(true, "a key", " and more") == "16");
        for (int n = 0; n < 3; ++n) it.client.execute(0, false, "key", std::to_string(n), [](auto&) {});
        it.run();
        CHECK(it.get("a key") == "a value and more");
        CHECK(it.get("none") == "null");
        CHECK(it.payloads.size() > 20);
        for (const auto& payload : it.payloads) {
            const auto decoded = wire::decode_any(payload);
            REQUIRE_MESSAGE(std::holds_alternative<wire::Decoded>(decoded), payload);
            const auto& [id, message] = std::get<wire::Decoded>(decoded);
            CHECK(wire::encode(id, message) == payload);
        }
    }

    TEST_CASE("the backup ends with the content of the primary") {
        Fixture it;
        for (const std::size_t piece : {1u << 20, 1000u, 7u}) {
            it.piece = piece;
            for (const std::size_t bytes : {1u, 100u, 5000u, 100'000u}) {
                const std::string value(bytes, static_cast<char>('a' + bytes % 7));
                const auto key = "key" + std::to_string(bytes) + "/" + std::to_string(piece);
                CHECK(it.execute(false, key, value) == "null");
                CHECK(it.execute(true, key, value) == std::to_string(2 * bytes));
                CHECK(it.get(key) == value + value);
            }
        }
        it.execute(false, "last", "");  // with its append the backup learns that the one before is committed
        CHECK(it.backup.state().applied + 1 == it.primary.state().applied);
        CHECK(it.backup.state().map.size() + 1 == it.primary.state().map.size());
        it.primary.receive(1, std::string{before_id} + "1" + digest_method);
        taken(it.from_primary.buffer(1));
        it.run();
        CHECK(it.backup.state().digest() == it.primary.state().digest());
    }

    TEST_CASE("a command that comes again is applied once") {
        Fixture it;
        it.client.execute(0, true, "key", "value", [](auto&) {});
        const auto text = taken(it.from_client.buffer(0));
        const auto payload = std::string_view{text}.substr(wire::frame_header);
        it.primary.receive(1, payload);
        it.primary.receive(1, payload);  // before it is applied
        it.run();
        it.primary.receive(1, payload);  // after that
        it.run();
        CHECK(it.get("key") == "value");
        CHECK(it.primary.state().applied == 3);
    }

    TEST_CASE("a trimmed log keeps its last entry and the entries that are not applied") {
        Fixture it;
        it.primary.state().log_bytes = it.backup.state().log_bytes = 1000;
        const std::string value(300, 'v');
        for (int n = 0; n < 500; ++n) CHECK(it.execute(false, "key" + std::to_string(n % 7), value) == "null");
        auto& log = it.primary.state().log;
        CHECK(log.last() == 501);
        CHECK(log.first() > 490);
        CHECK(log.first() <= log.last());
        it.primary.state().log_bytes = 0;
        CHECK(it.execute(true, "key0", "more") == "304");
        CHECK(log.position(log.last()).index == 502);
    }

    TEST_CASE("anything else is refused") {
        Fixture it;
        CHECK_THROWS(it.primary.receive(1, "{}"));
        CHECK_THROWS(it.backup.receive(0, R"({"jsonrpc":"2.0","id":1,"method":"pb.query","params":{}})"));
        CHECK_THROWS(it.client.execute(0, false, "a \"key\"", "value", [](auto&) {}));
    }
}
