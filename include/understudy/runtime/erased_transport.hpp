// A type-erased `Transport`, so that services and clients are compiled once for all transports.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>

#include <understudy/transport.hpp>

namespace understudy::detail {

/// The functions of a `Transport`. The optional ones have defaults.
class TransportBase {
public:
    virtual ~TransportBase() = default;
    virtual asio::any_io_executor get_executor() = 0;
    virtual Address local() const = 0;
    virtual Time now() const = 0;
    virtual std::uint64_t random() = 0;
    virtual void send(const Peer& to, const std::string& payload) = 0;
    virtual asio::awaitable<TransportEvents> next(Time deadline) = 0;
    virtual void wake() = 0;
    virtual void probe(const Address& address) = 0;
    virtual void pause(const Address& peer) = 0;
    virtual void resume(const Address& peer) = 0;
    virtual void close() = 0;

    /// Null if the transport cannot let a payload be written in place, or not for this peer at present.
    virtual std::string* begin_frame(const Peer&) { return nullptr; }
    virtual void end_frame() {}
    virtual void drop_frame() {}
    /// Returns false if the transport cannot call turns.
    virtual bool handle_turns(TurnHandler*) { return false; }
    virtual void reuse(TransportEvents&&) {}
    virtual void malformed(const Address&) {}
    virtual std::optional<std::size_t> max_frame() const { return std::nullopt; }
    virtual std::string objection(const Address&) const { return {}; }
    virtual std::string name_fault(const Address&) const { return {}; }
};

template <Transport T>
class TransportOf final : public TransportBase {
public:
    explicit TransportOf(T transport) : transport_{std::move(transport)} {}

    asio::any_io_executor get_executor() override { return transport_.get_executor(); }
    Address local() const override { return transport_.local(); }
    Time now() const override { return transport_.now(); }
    std::uint64_t random() override { return transport_.random(); }
    void send(const Peer& to, const std::string& payload) override {
        if constexpr (requires { transport_.send_to(to, payload); }) transport_.send_to(to, payload);
        else transport_.send(to.address(), payload);
    }
    asio::awaitable<TransportEvents> next(Time deadline) override { return transport_.next(deadline); }
    void wake() override { transport_.wake(); }
    void probe(const Address& address) override { transport_.probe(address); }
    void pause(const Address& peer) override { transport_.pause(peer); }
    void resume(const Address& peer) override { transport_.resume(peer); }
    void close() override { transport_.close(); }

    std::string* begin_frame(const Peer& to) override {
        if constexpr (writes_in_place) return transport_.begin_frame(to);
        else return nullptr;
    }
    void end_frame() override {
        if constexpr (writes_in_place) transport_.end_frame();
    }
    void drop_frame() override {
        if constexpr (writes_in_place) transport_.drop_frame();
    }
    bool handle_turns(TurnHandler* handler) override {
        if constexpr (requires { transport_.handle_turns(handler); }) return transport_.handle_turns(handler), true;
        else return false;
    }
    void reuse(TransportEvents&& used) override {
        if constexpr (requires { transport_.reuse(std::move(used)); }) transport_.reuse(std::move(used));
    }
    void malformed(const Address& peer) override {
        if constexpr (requires { transport_.malformed(peer); }) transport_.malformed(peer);
    }
    std::optional<std::size_t> max_frame() const override {
        if constexpr (requires {
                          { transport_.max_frame() } -> std::convertible_to<std::size_t>;
                      })
            return transport_.max_frame();
        else
            return std::nullopt;
    }
    std::string objection(const Address& address) const override {
        if constexpr (requires {
                          { transport_.objection(address) } -> std::same_as<std::string>;
                      })
            return transport_.objection(address);
        else
            return {};
    }
    std::string name_fault(const Address& name) const override {
        if constexpr (requires { T::name_fault(name); }) return T::name_fault(name);
        else return {};
    }

private:
    static constexpr bool writes_in_place = requires(T transport, const Peer& to) {
        { transport.begin_frame(to) } -> std::same_as<std::string*>;
        transport.end_frame();
        transport.drop_frame();
    };

    T transport_;
};

template <Transport T>
std::unique_ptr<TransportBase> erase(T transport) {
    return std::make_unique<TransportOf<T>>(std::move(transport));
}

}  // namespace understudy::detail
