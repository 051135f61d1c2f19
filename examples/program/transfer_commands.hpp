// pbc's dump and load: a whole group as lines of JSON, `{"key":…,"value":…}`.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <asio/co_spawn.hpp>
#include <asio/steady_timer.hpp>

#include "data_commands.hpp"
#include "dump_file.hpp"

namespace program {

/// Nothing is written to stdout or FILE before the snapshot is complete, so the dump can start again if the primary
/// changes meanwhile.
inline asio::awaitable<Exit> dump(CommandContext& context, std::string target) {
    for (int attempt = 1;; ++attempt) {
        Draft draft{target};
        std::function<void(std::string_view)> sink = [&draft](std::string_view piece) { draft.write(piece); };
        std::error_code ec;
        understudy::Position at =
            co_await context.clerk.async_dump(sink, asio::redirect_error(asio::use_awaitable, ec));
        if (!ec) {
            draft.publish();
            say("dumped group " + context.target.group + " as it was at position " + std::to_string(at.view) + "." +
                std::to_string(at.index));
            co_return Exit::done;
        }
        if (ec != understudy::error::bad_chunk || attempt == 10) throw std::system_error{ec};
        say("the primary changed; nothing was written yet, the dump begins anew");
    }
}

// ---- load -------------------------------------------------------------------------------------------------

/// Records that are put concurrently. A key occurs only once in a batch, so that of two lines for one key the later one
/// wins.
struct Batch {
    static constexpr std::size_t most = 256, most_bytes = 4u << 20;

    struct Item {
        std::size_t line;
        kv::Record record;
    };
    std::vector<Item> items;
    std::set<std::string> names;
    std::size_t bytes = 0;

    bool takes(const kv::Record& record) const {
        return items.empty() || (items.size() < most && bytes < most_bytes && !names.contains(record.key));
    }
    void add(std::size_t line, kv::Record record) {
        names.insert(record.key);
        bytes += record.value.size();
        items.push_back({line, std::move(record)});
    }
};

class Loader {
public:
    Loader(CommandContext& context, std::FILE* file, std::size_t max_command)
        : context_{context},
          lines_{file},
          max_command_{max_command},
          all_done_{context.io, asio::steady_timer::time_point::max()} {}

    asio::awaitable<Exit> run() {
        for (auto record = next(); record;) {
            Batch batch;
            for (; record && batch.takes(record->record); record = next())
                batch.add(record->line, std::move(record->record));
            co_await put(std::move(batch));
            if (!failures_.empty()) throw std::system_error{say_failures()};
        }
        say("loaded " + std::to_string(loaded_) + " keys" +
            (bad_ == 0 ? "" : ", left out " + std::to_string(bad_) + " bad lines"));
        co_return bad_ == 0 ? Exit::done : Exit::failed;
    }

private:
    /// The next valid record; invalid lines before it are reported and left out.
    std::optional<Batch::Item> next() {
        while (auto line = lines_.next()) {
            try {
                if (line->too_long) throw std::invalid_argument("is longer than any record");
                auto record = KvStore::decode_record(line->text);
                if (const auto wrong = KvStore{}.check(kv::Put{record.key, record.value}); !wrong.empty())
                    throw std::invalid_argument(wrong);
                return Batch::Item{line->number, std::move(record)};
            } catch (const std::invalid_argument& wrong) {
                ++bad_;
                say("line " + std::to_string(line->number) + ": " + wrong.what());
            }
        }
        return std::nullopt;
    }

    asio::awaitable<void> put(Batch batch) {
        under_way_ = batch.items.size();
        for (auto& [line, record] : batch.items)
            asio::co_spawn(context_.io, put_in_pieces(context_, std::move(record), max_command_), Done{this, line});
        std::error_code cancelled;  // the last put cancels the timer to signal the end
        if (under_way_ != 0) co_await all_done_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    }

    struct Done {
        Loader* loader;
        std::size_t line;
        void operator()(std::exception_ptr thrown) const { loader->done(line, thrown); }
    };
    void done(std::size_t line, std::exception_ptr thrown) {
        try {
            if (thrown) std::rethrow_exception(thrown);
            ++loaded_;
        } catch (const std::system_error& failure) {
            auto& [first, count] = failures_.try_emplace(failure.code(), line, 0).first->second;
            first = std::min(first, line);
            ++count;
        }
        if (--under_way_ == 0) all_done_.cancel();
    }

    /// Prints the failures; returns one of their causes.
    std::error_code say_failures() const {
        for (const auto& [code, lines] : failures_) {
            const auto others = lines.second - 1;
            say("line " + std::to_string(lines.first) +
                (others == 0 ? "" : " and " + std::to_string(others) + " after it") + ": " + code.message());
        }
        return failures_.begin()->first;
    }

    CommandContext& context_;
    LineReader lines_;
    std::size_t max_command_;
    asio::steady_timer all_done_;
    std::size_t under_way_ = 0, loaded_ = 0, bad_ = 0;
    /// The failures of one batch, which mostly have one cause: the first line and how many lines failed.
    std::map<std::error_code, std::pair<std::size_t, std::size_t>> failures_;
};

struct LoadArguments {
    std::string file = "-";
    std::size_t max_command = understudy::ReplicaOptions{}.max_command;
};
inline asio::awaitable<Exit> load(CommandContext& context, LoadArguments given) {
    File file;
    if (given.file != "-") file.reset(std::fopen(given.file.c_str(), "rb"));
    if (given.file != "-" && !file) fail_io(given.file.c_str());
    Loader loader{context, file ? file.get() : stdin, given.max_command};
    co_return co_await loader.run();
}

}  // namespace program
