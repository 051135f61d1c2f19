// The conformance kit of transports: a simulated transport passes; for one that violates a requirement, the kit names
// which.
#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <understudy/sim/laws/transport_laws.hpp>
#include <understudy/sim/world/world.hpp>

TEST_SUITE("transport_laws") {
    namespace {

    using namespace understudy;
    using namespace std::chrono_literals;

    enum class Flaw { none, swaps, late, deaf, drops_after_resume, blames_nobody, alive_always, closes_softly };

    /// Passes everything on to a simulated transport, except for one flaw.
    class FlawedTransport {
    public:
        static inline Flaw flaw = Flaw::none;

        FlawedTransport(sim::World& world, Address address)
            : inner_{world, TransportOptions{.listen = std::move(address), .advertise = {}, .max_frame = 1u << 20}} {}

        asio::any_io_executor get_executor() const { return inner_.get_executor(); }
        Address local() const { return inner_.local(); }
        Time now() const { return inner_.now(); }
        std::uint64_t random() { return inner_.random(); }

        void send(const Address& to, std::string payload) {
            if (flaw == Flaw::swaps && payload == R"({"n":7})") return keep_back(to, std::move(payload));
            inner_.send(to, std::move(payload));
            if (!kept_.empty()) inner_.send(to, std::exchange(kept_, {}));
        }
        asio::awaitable<TransportEvents> next(Time deadline) {
            if (flaw == Flaw::late && deadline != never) deadline -= 5ms;
            auto arrivals = co_await inner_.next(deadline);
            for (auto& arrival : arrivals) spoil(arrival);
            co_return arrivals;
        }
        void wake() {
            if (flaw != Flaw::deaf) inner_.wake();
        }
        void probe(const Address& address) { inner_.probe(address); }
        void pause(const Address& peer) { inner_.pause(peer); }
        void resume(const Address& peer) {
            if (flaw != Flaw::drops_after_resume) inner_.resume(peer);
        }
        void close() {
            if (flaw != Flaw::closes_softly) inner_.close();
        }

    private:
        void keep_back(const Address&, std::string payload) { kept_ = std::move(payload); }
        static void spoil(TransportEvent& arrival) {
            if (auto* gone = std::get_if<Disconnected>(&arrival); gone && flaw == Flaw::blames_nobody)
                gone->peer.clear();
            if (auto* probed = std::get_if<Probed>(&arrival); probed && flaw == Flaw::alive_always)
                probed->result = ProbeResult::alive;
        }

        sim::SimTransport inner_;
        std::string kept_;
    };
    static_assert(Transport<FlawedTransport>);

    struct FlawedWorld {
        using Transport = FlawedTransport;
        sim::World world{42};
        int named = 0;

        Address nobody() { return "s" + std::to_string(++named); }
        Transport server(Address address) { return Transport{world, std::move(address)}; }
        Transport server() { return server(nobody()); }
        Transport client() { return Transport{world, {}}; }
        asio::any_io_executor executor() { return world.get_executor(); }
        void spawn(asio::awaitable<void> coroutine) { world.spawn(std::move(coroutine)); }
        bool run_until(const std::function<bool()>& holds) { return world.run_until(holds, 30s); }
    };

    std::vector<std::string> broken_by(Flaw flaw) {
        FlawedTransport::flaw = flaw;
        return sim::broken_transport_laws([] { return std::make_unique<FlawedWorld>(); });
    }

    }  // namespace

    TEST_CASE("a transport without a flaw breaks no law") {
        CHECK(broken_by(Flaw::none) == std::vector<std::string>{});
    }

    TEST_CASE("a transport that breaks a law is told which") {
        using Laws = std::vector<std::string>;
        CHECK(broken_by(Flaw::swaps) == Laws{"a connection keeps its order"});
        CHECK(broken_by(Flaw::late)[0] == "next does not end before its deadline");
        CHECK(broken_by(Flaw::deaf) ==
              Laws{"a wake before next ends it", "a wake beside a cancellation ends a later next"});
        CHECK(broken_by(Flaw::drops_after_resume) == Laws{"a resumed peer is read"});
        CHECK(broken_by(Flaw::blames_nobody) ==
              Laws{"Disconnected names the peer as Delivered did", "Disconnected names the address that was dialled"});
        CHECK(broken_by(Flaw::alive_always) == Laws{"a probe of a closed address is refused"});
        CHECK(broken_by(Flaw::closes_softly)[0] == "close ends the next that is pending");
    }
}
