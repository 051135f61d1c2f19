// A type-erased `Journal`, so that the driver of a replica is compiled once for all journals.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include <understudy/journal.hpp>

namespace understudy::detail {

/// The functions of a `Journal`, the optional one included.
class JournalBase {
public:
    virtual ~JournalBase() = default;
    virtual void read(replica::JournalReader& to) = 0;
    virtual void start(std::function<void()> progress) = 0;
    virtual void write(JournalBatch& batch, const replica::Log& log) = 0;
    virtual std::uint64_t persisted() const = 0;
    virtual bool promises() const = 0;
    virtual std::string failure() const = 0;
    virtual std::string waiting() const = 0;
};

template <Journal J>
class JournalOf final : public JournalBase {
public:
    explicit JournalOf(J journal) : journal_{std::move(journal)} {}

    void read(replica::JournalReader& to) override { journal_.read(to); }
    void start(std::function<void()> progress) override { journal_.start(std::move(progress)); }
    void write(JournalBatch& batch, const replica::Log& log) override { journal_.write(batch, log); }
    std::uint64_t persisted() const override { return journal_.persisted(); }
    bool promises() const override { return journal_.promises(); }
    std::string failure() const override { return journal_.failure(); }
    std::string waiting() const override {
        if constexpr (requires { journal_.waiting(); }) return journal_.waiting();
        else return {};
    }

private:
    J journal_;
};

/// Returns null if there is no journal.
template <Journal J>
std::unique_ptr<JournalBase> erase(J journal) {
    if (!is_there(journal)) return nullptr;
    return std::make_unique<JournalOf<J>>(std::move(journal));
}

}  // namespace understudy::detail
