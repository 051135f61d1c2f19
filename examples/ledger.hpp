// A host's own Store: a small double-entry ledger. Money comes in by deposits and moves by transfers; a transfer adds
// to one account exactly what it takes from another, so the total never changes.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace ledger {

using Cents = std::int64_t;

enum class Op { open, deposit, transfer };
struct Command {
    Op op = Op::open;
    std::string account;  // of a transfer: where the money comes from
    std::string to;       // of a transfer only
    Cents amount = 0;     // not of `open`
};

enum class Ask { balance, total };
struct Query {
    Ask ask = Ask::total;
    std::string account;  // of `balance` only
};

struct Reply {
    std::string status;            // ok, insufficient_funds, no_such_account, already_open, bad_amount or too_much
    std::optional<Cents> balance;  // of the account, or the total
    friend bool operator==(const Reply&, const Reply&) = default;
};

class Ledger {
public:
    using Command = ledger::Command;
    using Query = ledger::Query;
    using Reply = ledger::Reply;

    /// Total: a command that cannot be carried out changes nothing and gets a reply that says so.
    Reply apply(const Command& command) {
        switch (command.op) {
            case Op::open: return open(command.account);
            case Op::deposit: return deposit(command.account, command.amount);
            case Op::transfer: return transfer(command.account, command.to, command.amount);
        }
        return {"bad_op", {}};
    }

    Reply query(const Query& query) const {
        if (query.ask == Ask::total) return {"ok", total_};
        const auto account = accounts_.find(query.account);
        return account == accounts_.end() ? Reply{"no_such_account", {}} : Reply{"ok", account->second};
    }

    /// A command that no ledger could carry out is refused before it is logged.
    std::string check(const Command& command) const {
        return command.op != Op::open && command.amount <= 0 ? "amount must be positive" : "";
    }

    std::string snapshot() const { return nlohmann::json(accounts_).dump(); }
    void restore(std::string_view text) {
        Ledger restored;
        restored.accounts_ = nlohmann::json::parse(text).get<std::map<std::string, Cents>>();
        for (const auto& [name, balance] : restored.accounts_) {
            if (balance < 0 || balance > most - restored.total_)
                throw std::runtime_error("impossible balance of " + name);
            restored.total_ += balance;
        }
        *this = std::move(restored);
    }

    friend bool operator==(const Ledger&, const Ledger&) = default;

private:
    static constexpr Cents most = std::numeric_limits<Cents>::max();

    Reply open(const std::string& name) {
        const bool fresh = accounts_.emplace(name, 0).second;
        return {fresh ? "ok" : "already_open", accounts_[name]};
    }
    Reply deposit(const std::string& name, Cents amount) {
        const auto account = accounts_.find(name);
        if (account == accounts_.end()) return {"no_such_account", {}};
        if (amount <= 0) return {"bad_amount", account->second};
        if (amount > most - total_) return {"too_much", account->second};
        total_ += amount;
        return {"ok", account->second += amount};
    }
    Reply transfer(const std::string& from, const std::string& to, Cents amount) {
        const auto source = accounts_.find(from), target = accounts_.find(to);
        if (source == accounts_.end() || target == accounts_.end()) return {"no_such_account", {}};
        if (amount <= 0) return {"bad_amount", source->second};
        if (source->second < amount) return {"insufficient_funds", source->second};
        source->second -= amount;
        target->second += amount;
        return {"ok", source->second};
    }

    std::map<std::string, Cents> accounts_;
    Cents total_ = 0;
};

// ---- how commands, queries and replies travel ----

inline void to_json(nlohmann::json& json, const Command& command) {
    switch (command.op) {
        case Op::open: json = {{"op", "open"}, {"account", command.account}}; break;
        case Op::deposit: json = {{"op", "deposit"}, {"account", command.account}, {"amount", command.amount}}; break;
        case Op::transfer:
            json = {{"op", "transfer"}, {"from", command.account}, {"to", command.to}, {"amount", command.amount}};
            break;
    }
}

/// nlohmann truncates fractions and lets numbers wrap around; neither is acceptable for money.
inline Cents cents(const nlohmann::json& json) {
    if (!json.is_number_integer() ||
        (json.is_number_unsigned() && json.get<std::uint64_t>() > std::uint64_t{INT64_MAX}))
        throw std::invalid_argument("amount must be a whole number of cents");
    return json.get<Cents>();
}

inline void from_json(const nlohmann::json& json, Command& command) {
    const auto op = json.at("op").get<std::string>();
    if (op == "open") {
        command = {Op::open, json.at("account"), {}, 0};
    } else if (op == "deposit") {
        command = {Op::deposit, json.at("account"), {}, cents(json.at("amount"))};
    } else if (op == "transfer") {
        command = {Op::transfer, json.at("from"), json.at("to"), cents(json.at("amount"))};
    } else {
        throw std::invalid_argument("unknown op, expected open, deposit or transfer");
    }
}

inline void to_json(nlohmann::json& json, const Query& query) {
    if (query.ask == Ask::total) json = {{"op", "total"}};
    else json = {{"op", "balance"}, {"account", query.account}};
}

inline void from_json(const nlohmann::json& json, Query& query) {
    const auto op = json.at("op").get<std::string>();
    if (op == "total") query = {Ask::total, {}};
    else if (op == "balance") query = {Ask::balance, json.at("account")};
    else throw std::invalid_argument("unknown op, expected balance or total");
}

inline void to_json(nlohmann::json& json, const Reply& reply) {
    json = {{"status", reply.status}};
    if (reply.balance) json["balance"] = *reply.balance;
}

inline void from_json(const nlohmann::json& json, Reply& reply) {
    reply.status = json.at("status");
    reply.balance.reset();
    if (const auto balance = json.find("balance"); balance != json.end()) reply.balance = balance->get<Cents>();
}

}  // namespace ledger
