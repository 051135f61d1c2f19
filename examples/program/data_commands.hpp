// pbc's commands for single keys and values.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <understudy/json_text.hpp>
#include <understudy/kv_store.hpp>

#include "command_context.hpp"

namespace program {

using understudy::KvStore;
namespace kv = understudy::kv;

/// Refuses a command that no server would accept, because here the reason can be reported.
inline void require_possible(const kv::Command& command) {
    if (const auto wrong = KvStore{}.check(command); !wrong.empty()) throw Ended{Exit::failed, wrong};
}

/// Puts a record. If the command would be longer than `max_command`, it is sent in pieces: first a put and then
/// appends; other clients can see each step. One byte of a value takes at most six bytes of JSON.
inline asio::awaitable<void> put_in_pieces(CommandContext& context, kv::Record record, std::size_t max_command) {
    const kv::Command whole = kv::Put{record.key, record.value};
    if (KvStore::encode_command(whole).size() <= max_command) {
        co_await context.clerk.async_put(std::move(record.key), std::move(record.value));
        co_return;
    }
    const kv::Command empty = kv::Append{record.key, ""};
    const auto frame = KvStore::encode_command(empty).size() + 16;  // and room for {"b64":…}
    if (frame + 6 > max_command) throw std::system_error{make_error_code(understudy::error::too_large)};
    const auto piece = (max_command - frame) / 6;
    auto part = record.value.substr(0, piece);
    co_await context.clerk.async_put(record.key, std::move(part));
    for (auto done = piece; done < record.value.size(); done += piece) {
        part = record.value.substr(done, piece);
        co_await context.clerk.async_append(record.key, std::move(part));
    }
}

inline asio::awaitable<Exit> get(CommandContext& context, std::string key) {
    std::string value = co_await context.clerk.async_get(std::move(key));
    print_value(value);
    co_return Exit::done;
}

struct PutArguments {
    std::string key;
    std::optional<std::string> value;
    bool pieces = false;
    std::size_t max_command = understudy::ReplicaOptions{}.max_command;
};
inline asio::awaitable<Exit> put(CommandContext& context, PutArguments given) {
    auto value = value_or_stdin(given.value);
    const kv::Command command = kv::Put{given.key, value};
    require_possible(command);
    kv::Record record{std::move(given.key), std::move(value)};
    if (given.pieces) {
        co_await put_in_pieces(context, std::move(record), given.max_command);
        co_return Exit::done;
    }
    std::error_code ec;
    co_await context.clerk.async_put(std::move(record.key), std::move(record.value),
                                  asio::redirect_error(asio::use_awaitable, ec));
    if (ec == understudy::error::too_large) {
        Ended told = co_await explain(context, ec);
        throw Ended{told.exit, told.what() + std::string{"; with --pieces it is written in several steps"}};
    }
    if (ec) throw std::system_error{ec};
    co_return Exit::done;
}

inline asio::awaitable<Exit> append(CommandContext& context, std::string key, std::optional<std::string> given) {
    auto value = value_or_stdin(given);
    const kv::Command command = kv::Append{key, value};
    require_possible(command);
    std::uint64_t length = co_await context.clerk.async_append(key, value);
    print_line(std::to_string(length));
    co_return Exit::done;
}

inline asio::awaitable<Exit> erase(CommandContext& context, std::string key) {
    bool was_there = co_await context.clerk.async_erase(key);
    if (!was_there) throw Ended{Exit::no_match, context.doing + ": the key does not exist"};
    co_return Exit::done;
}

struct CasArguments {
    std::string key, value;
    std::optional<std::string> expect;
};
inline asio::awaitable<Exit> compare_and_set(CommandContext& context, CasArguments given) {
    auto value = value_or_stdin(given.value);
    const kv::Command command = kv::Cas{given.key, value, given.expect};
    require_possible(command);
    kv::CasResult result = co_await context.clerk.async_compare_and_set(given.key, given.expect, value);
    if (result.ok) co_return Exit::done;
    if (!result.value) throw Ended{Exit::no_match, context.doing + ": the key does not exist"};
    print_value(*result.value);
    throw Ended{Exit::no_match,
                context.doing + (given.expect ? ": the key has another value" : ": the key exists already")};
}

struct KeysArguments {
    std::string prefix;
    std::optional<std::string> after;
    std::size_t limit = kv::default_page;
    bool all = false, json = false;
};
inline asio::awaitable<Exit> keys(CommandContext& context, KeysArguments given) {
    auto after = given.after;
    for (std::size_t left = given.limit;;) {
        // Requesting one more key than wanted shows whether there are more.
        const auto ask = given.all ? kv::max_page : std::min(left + 1, kv::max_page);
        kv::Page page = co_await context.clerk.async_keys(given.prefix, after, ask);
        if (page.empty()) co_return Exit::done;
        for (auto& key : page) {
            if (!given.all && left-- == 0) {
                say("there are more keys: --all, or --after with the last one");
                co_return Exit::done;
            }
            print((given.json ? understudy::json_text(key) : key) + '\n');
            after = std::move(key);
        }
    }
}

}  // namespace program
