// The interface of a running replica, as `PBService` uses it. The implementation is in replica_node.ipp.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include <understudy/base/config.hpp>
#include <understudy/event.hpp>
#include <understudy/options.hpp>
#include <understudy/protocol/message.hpp>
#include <understudy/runtime/call_table.hpp>
#include <understudy/runtime/erased_journal.hpp>
#include <understudy/runtime/erased_store.hpp>
#include <understudy/runtime/erased_transport.hpp>
#include <understudy/runtime/node.hpp>
#include <understudy/runtime/typed_call.hpp>
#include <understudy/view.hpp>

namespace understudy::replica {
template <TextStore S>
class ReplicaStateMachine;
}

namespace understudy::detail {

struct LocalExecute {
    CallText command;
    bool only_reads() const { return false; }
};
struct LocalQuery {
    CallText query;
    bool only_reads() const { return true; }
};

class ReplicaNode : public Node {
public:
    /// Waits until a condition is true or the timeout has passed.
    struct Wait {
        std::function<bool(const ReplicaNode&)> until;
        Duration timeout = Duration::max();
        bool leaving = false;  ///< The server leaves the group meanwhile. If that takes too long, it stays.
        bool only_reads() const { return !leaving; }
    };

    CallTable<Answer> calls;

    virtual void start(std::uint64_t key, LocalExecute call) = 0;
    virtual void start(std::uint64_t key, LocalQuery call) = 0;
    virtual void start(std::uint64_t key, Wait wait) = 0;
    virtual void cancel(std::uint64_t key) = 0;

    virtual Role role() const = 0;
    virtual bool serving() const = 0;
    virtual bool left() const = 0;
    virtual const ViewInfo& view() const = 0;
    virtual ReplicaStatusResult status() const = 0;
    virtual const ErasedStore& store() const = 0;
    virtual const replica::ReplicaStateMachine<ErasedStore>& state_machine() const = 0;
};

/// Reads the journal, if there is one, and continues from it. Throws `std::system_error` with `error::invalid_options`
/// or `error::wrong_journal`, and what the journal throws. A template for the same reason as `make_client_node`.
template <typename Lazy = void>
std::shared_ptr<ReplicaNode> make_replica_node(ErasedStore store, std::unique_ptr<TransportBase> transport,
                                               std::unique_ptr<JournalBase> journal, ReplicaOptions options,
                                               Observer observer);

}  // namespace understudy::detail

#if !defined(UNDERSTUDY_SEPARATE_COMPILATION)
#include <understudy/runtime/replica_node.ipp>
#endif
