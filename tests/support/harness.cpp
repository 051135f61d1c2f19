// The worlds with real sockets; only `in_every_world` uses them.
#include <tests/support/harness.hpp>

#include <type_traits>

#include <asio/io_context.hpp>

#include <tests/support/net.hpp>
#include <understudy/net/tcp.hpp>
#include <understudy/net/unix.hpp>

namespace understudy::test {
namespace {

/// Real sockets in real time: `until` ignores its limit and waits for the condition, at most 30 s.
template <typename Carrier>
class SocketHarness final : public Harness {
public:
    asio::any_io_executor executor() override { return io_.get_executor(); }
    Time now() const override { return net::boot_time(); }
    std::uint64_t random() override { return random_(); }
    Address address(const std::string& name) const override {
        return std::is_same_v<Carrier, net::UnixTransport> ? folder_.address(name) : "tcp://127.0.0.1:0";
    }
    FaultyTransport listen(const Address& address, std::shared_ptr<Faults> faults) override {
        return FaultyTransport{Carrier{io_, address}, std::move(faults)};
    }
    FaultyTransport dial(const std::string&, std::shared_ptr<Faults> faults) override {
        return FaultyTransport{Carrier{io_}, std::move(faults)};
    }

    bool until(std::function<bool()> condition, Duration) override { return run_until(io_, std::move(condition)); }
    void pass(Duration length) override {
        io_.restart();
        io_.run_for(length);
    }

private:
    TemporaryFolder folder_;
    asio::io_context io_;
    sim::Random random_{20240607};
};

}  // namespace

void in_every_world(const std::function<void(Harness&)>& body, std::uint64_t seeds) {
    SUBCASE("in simulation") { in_simulation(body, seeds); }
    SUBCASE("over unix sockets") {
        SocketHarness<net::UnixTransport> harness;
        body(harness);
    }
    SUBCASE("over TCP") {
        SocketHarness<net::TcpTransport> harness;
        body(harness);
    }
}

}  // namespace understudy::test
