// The engines that an embedded store could use for a journal: groups of entries that are made stable one after the
// other, and read back in order.
#pragma once

#include <sqlite3.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include <understudy/journal/frame_log.hpp>
#include <understudy/journal/posix_disk.hpp>

namespace understudy::bench {

/// The frame log of this library.
class FrameEngine {
public:
    explicit FrameEngine(const std::string& folder) : disk_{folder}, log_{disk_, "log", 1} {
        log_.recover([this](std::uint64_t, std::string_view payload) { read_ += payload.size(); });
    }
    void append(std::string_view entry) { log_.append(entry); }
    void commit() { log_.sync(); }
    std::uint64_t read() const { return read_; }

private:
    journal::PosixDisk disk_;
    std::uint64_t read_ = 0;
    journal::FrameLog<journal::PosixDisk> log_;
};

/// SQLite, set up as usual for this purpose: a table of entries by number, a write-ahead log, and a sync for every
/// transaction.
class SqliteEngine {
public:
    explicit SqliteEngine(const std::string& folder) {
        sqlite3* opened = nullptr;
        const int code = sqlite3_open((folder + "/journal.db").c_str(), &opened);
        base_.reset(opened);
        check(code);
        run("PRAGMA journal_mode=WAL");
        run("PRAGMA synchronous=FULL");
        run("PRAGMA locking_mode=EXCLUSIVE");
        run("CREATE TABLE IF NOT EXISTS log (number INTEGER PRIMARY KEY, entry BLOB)");
        for (auto all = prepare("SELECT entry FROM log ORDER BY number"); sqlite3_step(all.get()) == SQLITE_ROW;)
            read_ += static_cast<std::uint64_t>(sqlite3_column_bytes(all.get(), 0));
        insert_ = prepare("INSERT INTO log (entry) VALUES (?)");
    }
    void append(std::string_view entry) {
        if (!open_) run("BEGIN");
        open_ = true;
        check(sqlite3_bind_blob(insert_.get(), 1, entry.data(), static_cast<int>(entry.size()), SQLITE_STATIC));
        if (sqlite3_step(insert_.get()) != SQLITE_DONE) throw std::runtime_error{sqlite3_errmsg(base_.get())};
        check(sqlite3_reset(insert_.get()));
    }
    void commit() {
        run("COMMIT");
        open_ = false;
    }
    std::uint64_t read() const { return read_; }

private:
    struct Close {
        void operator()(sqlite3* it) const { sqlite3_close(it); }
        void operator()(sqlite3_stmt* it) const { sqlite3_finalize(it); }
    };
    using Statement = std::unique_ptr<sqlite3_stmt, Close>;

    void check(int code) const {
        if (code != SQLITE_OK) throw std::runtime_error{sqlite3_errmsg(base_.get())};
    }
    void run(const char* text) const { check(sqlite3_exec(base_.get(), text, nullptr, nullptr, nullptr)); }
    Statement prepare(const char* text) const {
        sqlite3_stmt* made = nullptr;
        check(sqlite3_prepare_v2(base_.get(), text, -1, &made, nullptr));
        return Statement{made};
    }

    std::unique_ptr<sqlite3, Close> base_;
    Statement insert_;
    bool open_ = false;
    std::uint64_t read_ = 0;
};

}  // namespace understudy::bench
