// A Store that does everything through the erased store of a service, so that the requirements of stores can be checked
// on the erased store.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <understudy/runtime/erased_store.hpp>
#include <understudy/store.hpp>
#include <understudy/wire/store_text.hpp>

namespace understudy::test {

/// `S` behind `detail::ErasedStore`. A refusal of the erased store is thrown with the text that the erased store gave.
/// `S` must have its own JSON functions.
template <Store S>
class ThroughErased {
public:
    using Command = typename S::Command;
    using Query = typename S::Query;
    using Reply = typename S::Reply;

    explicit ThroughErased(S store) : store_{std::move(store)} {}

    static std::string encode_command(const Command& command) { return wire::encode_command<S>(command); }
    static std::string encode_query(const Query& query) { return wire::encode_query<S>(query); }
    static Command decode_command(std::string_view text) { return S::decode_command(text); }
    static Query decode_query(std::string_view text) { return S::decode_query(text); }
    static Reply decode_reply(std::string_view text) { return wire::decode_reply<S>(text); }
    static std::string encode(const Reply& reply) { return S::encode(reply); }

    std::string check(const Command& command) const { return store_.prepare(encode_command(command)).wrong; }
    Reply apply(const Command& command) {
        const auto text = encode_command(command);
        return reply(store_.apply(text, store_.prepare(text).command));
    }
    Reply query(const Query& query) const { return reply(store_.query(encode_query(query))); }
    detail::ErasedSnapshot snapshot() const { return store_.snapshot(); }
    void restore_begin() { expect(store_.restore_begin()); }
    void restore_chunk(std::string_view bytes) { expect(store_.restore_chunk(bytes)); }
    void restore_end() { expect(store_.restore_end()); }

private:
    static Reply reply(const TextOutcome& outcome) {
        if (!outcome.ok) throw std::runtime_error{outcome.text};
        return decode_reply(outcome.text);
    }
    static void expect(const std::string& wrong) {
        if (!wrong.empty()) throw std::runtime_error{wrong};
    }

    detail::ErasedStore store_;
};

}  // namespace understudy::test
