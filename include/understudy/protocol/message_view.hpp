// Messages without texts of their own: the form of the messages of every call in which they are handled while their
// payload lies in the buffer that it was received in.
#pragma once

#include <string>
#include <variant>

#include <understudy/protocol/entry.hpp>
#include <understudy/protocol/message.hpp>

namespace understudy::protocol {

/// A message of every call as a view: its texts lie in the payload, so it is handled before that is gone.
using MessageView =
    std::variant<ExecuteView, ExecuteResultView, QueryView, QueryResultView, AppendView, AppendResult>;

inline ExecuteView view_of(const Execute& it) {
    return {it.cluster, it.group, it.session, it.seq, it.low, it.command};
}
inline ExecuteResultView view_of(const ExecuteResult& it) { return {it.at, it.value}; }
inline QueryView view_of(const Query& it) { return {it.cluster, it.group, it.query}; }
inline QueryResultView view_of(const QueryResult& it) { return {it.at, it.value}; }
inline const AppendResult& view_of(const AppendResult& it) { return it; }
inline AppendView view_of(const Append& it) {
    return {it.cluster, it.group, it.view, it.prev, {it.entries.begin(), it.entries.end()}, it.commit, it.round};
}

/// The same message with texts of its own.
inline Message owned(const MessageView& view) {
    struct Owned {
        Message operator()(const ExecuteView& it) const {
            return Execute{it.cluster, std::string{it.group}, it.session, it.seq, it.low, JsonText{it.command}};
        }
        Message operator()(const ExecuteResultView& it) const { return ExecuteResult{it.at, JsonText{it.value}}; }
        Message operator()(const QueryView& it) const {
            return Query{it.cluster, std::string{it.group}, JsonText{it.query}};
        }
        Message operator()(const QueryResultView& it) const { return QueryResult{it.at, JsonText{it.value}}; }
        Message operator()(const AppendView& it) const {
            Append append{it.cluster, std::string{it.group}, it.view, it.prev, {}, it.commit, it.round};
            for (const auto& entry : it.entries) append.entries.push_back(entry);
            return append;
        }
        Message operator()(const AppendResult& it) const { return it; }
    };
    return std::visit(Owned{}, view);
}

}  // namespace understudy::protocol
