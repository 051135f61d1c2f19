// A type-erased `TextStore` (text_store.hpp), so that the replica's state machine is compiled once for all stores.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <understudy/store.hpp>
#include <understudy/text_store.hpp>
#include <understudy/wire/typed_store.hpp>

namespace understudy::detail {

class SnapshotBase {
public:
    virtual ~SnapshotBase() = default;
    virtual std::unique_ptr<SnapshotBase> copy() const = 0;
    virtual std::string read(std::size_t max) = 0;
};

/// The functions of a `TextStore`.
class StoreBase {
public:
    virtual ~StoreBase() = default;
    virtual std::unique_ptr<StoreBase> copy() const = 0;
    virtual Preparation prepare(std::string_view command) const = 0;
    virtual TextOutcome apply(std::string_view command, const PreparedCommand& prepared) = 0;
    virtual TextOutcome query(std::string_view query) const = 0;
    virtual std::unique_ptr<SnapshotBase> snapshot() const = 0;
    virtual std::string restore_begin() = 0;
    virtual std::string restore_chunk(std::string_view bytes) = 0;
    virtual std::string restore_end() = 0;
};

template <typename Snapshot>
class SnapshotOf final : public SnapshotBase {
public:
    explicit SnapshotOf(Snapshot snapshot) : snapshot_{std::move(snapshot)} {}
    std::unique_ptr<SnapshotBase> copy() const override { return std::make_unique<SnapshotOf>(*this); }
    std::string read(std::size_t max) override { return snapshot_.read(max); }

private:
    Snapshot snapshot_;
};

template <Store S>
class StoreOf final : public StoreBase {
public:
    explicit StoreOf(S store) : typed_{std::move(store)} {}

    const S& store() const { return typed_.store(); }

    std::unique_ptr<StoreBase> copy() const override { return std::make_unique<StoreOf>(*this); }
    Preparation prepare(std::string_view command) const override { return typed_.prepare(command); }
    TextOutcome apply(std::string_view command, const PreparedCommand& prepared) override {
        return typed_.apply(command, prepared);
    }
    TextOutcome query(std::string_view query) const override { return typed_.query(query); }
    std::unique_ptr<SnapshotBase> snapshot() const override {
        auto taken = typed_.snapshot();
        return std::make_unique<SnapshotOf<decltype(taken)>>(std::move(taken));
    }
    std::string restore_begin() override { return typed_.restore_begin(); }
    std::string restore_chunk(std::string_view bytes) override { return typed_.restore_chunk(bytes); }
    std::string restore_end() override { return typed_.restore_end(); }

private:
    wire::TypedStore<S> typed_;
};

/// Owns an object of a class derived from `Base`, and copies it with `Base::copy()`.
template <typename Base>
class Copied {
public:
    explicit Copied(std::unique_ptr<Base> held) : held_{std::move(held)} {}
    Copied(const Copied& other) : held_{other.held_->copy()} {}
    Copied(Copied&&) noexcept = default;
    Copied& operator=(const Copied& other) {
        if (this != &other) held_ = other.held_->copy();
        return *this;
    }
    Copied& operator=(Copied&&) noexcept = default;
    ~Copied() = default;

    Base* operator->() { return held_.get(); }
    const Base* operator->() const { return held_.get(); }

private:
    std::unique_ptr<Base> held_;
};

class ErasedSnapshot {
public:
    explicit ErasedSnapshot(std::unique_ptr<SnapshotBase> held) : held_{std::move(held)} {}
    std::string read(std::size_t max) { return held_->read(max); }

private:
    Copied<SnapshotBase> held_;
};

class ErasedStore {
public:
    /// The first condition must come first. Without it Clang asks whether an `ErasedStore` is copyable while it
    /// evaluates whether one is a `Store`. This condition would depend on itself, and Clang rejects it.
    template <typename S>
        requires(!std::is_same_v<S, ErasedStore> && Store<S>)
    explicit ErasedStore(S store) : held_{std::make_unique<StoreOf<S>>(std::move(store))} {}

    /// The store that the host gave. `S` must be its type; this is not checked.
    template <Store S>
    const S& as() const {
        return static_cast<const StoreOf<S>*>(held_.operator->())->store();
    }

    Preparation prepare(std::string_view command) const { return held_->prepare(command); }
    TextOutcome apply(std::string_view command, const PreparedCommand& prepared) {
        return held_->apply(command, prepared);
    }
    TextOutcome query(std::string_view query) const { return held_->query(query); }
    ErasedSnapshot snapshot() const { return ErasedSnapshot{held_->snapshot()}; }
    std::string restore_begin() { return held_->restore_begin(); }
    std::string restore_chunk(std::string_view bytes) { return held_->restore_chunk(bytes); }
    std::string restore_end() { return held_->restore_end(); }

private:
    Copied<StoreBase> held_;
};
static_assert(TextStore<ErasedStore>);

}  // namespace understudy::detail
