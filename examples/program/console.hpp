// The input and output of pbc: values as raw bytes on stdin and stdout, and messages for people on stderr.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include <understudy/kv_types.hpp>

#include "exit_codes.hpp"

namespace program {

/// Throws `std::system_error`, because a sink of the library may throw nothing else.
[[noreturn]] inline void fail_io(const char* what) { throw std::system_error{errno, std::generic_category(), what}; }

inline void write_to(std::FILE* file, std::string_view bytes, const char* what = "stdout") {
    if (std::fwrite(bytes.data(), 1, bytes.size(), file) != bytes.size()) fail_io(what);
}
inline void print(std::string_view bytes) { write_to(stdout, bytes); }
/// Flushes everything printed so far, or throws. Must be called before anything is written to stderr: std::cerr flushes
/// stdout too, and a failure of that flush is not reported while the bytes are lost.
inline void flush_printed() {
    if (std::fflush(stdout) != 0) fail_io("stdout");
    if (std::ferror(stdout)) throw std::system_error{EIO, std::generic_category(), "stdout"};
}
inline void print_line(std::string_view line) {
    print(std::string{line} + '\n');
    flush_printed();
}

/// Prints a value unchanged; on a terminal it also ends the line.
inline void print_value(std::string_view value) {
    print(value);
    if (::isatty(STDOUT_FILENO) && !value.ends_with('\n')) print("\n");
    flush_printed();
}

inline void say(std::string_view sentence) {
    flush_printed();
    std::cerr << "pbc: " + std::string{sentence} + '\n' << std::flush;
}

/// Reads all of stdin, up to the largest size of a value.
inline std::string read_stdin() {
    std::string bytes(understudy::kv::max_value + 1, '\0');
    const auto count = std::fread(bytes.data(), 1, bytes.size(), stdin);
    if (std::ferror(stdin)) fail_io("stdin");
    if (count == bytes.size())
        throw Ended{Exit::failed, "stdin: a value has at most " + std::to_string(count - 1) + " bytes"};
    bytes.resize(count);
    return bytes;
}
/// A value from the command line; absent or `-` means stdin.
inline std::string value_or_stdin(const std::optional<std::string>& value) {
    return value && *value != "-" ? *value : read_stdin();
}

/// Asks a person at a terminal; returns whether the answer is yes.
inline bool confirmed(const std::string& question) {
    std::cerr << question + " Type yes to go on: " << std::flush;
    std::string answer;
    std::getline(std::cin, answer);
    return answer == "yes";
}

/// Reads the lines of a file; a line longer than any record is truncated.
class LineReader {
public:
    struct Line {
        std::size_t number = 0;
        std::string text;
        bool too_long = false;  // the rest of the line is left out
    };
    static constexpr std::size_t longest = 6 * (understudy::kv::max_key + understudy::kv::max_value) + 4096;

    explicit LineReader(std::FILE* file) : file_{file} {}

    std::optional<Line> next() {
        Line line{++number_, {}, false};
        int byte = std::getc(file_);
        if (byte == EOF) return end();
        for (; byte != '\n' && byte != EOF; byte = std::getc(file_)) {
            if (line.text.size() < longest)
                line.text.push_back(static_cast<char>(byte));
            else
                line.too_long = true;
        }
        if (std::ferror(file_)) return end();
        return line;
    }

private:
    std::optional<Line> end() {
        if (std::ferror(file_)) fail_io("reading the records");
        return std::nullopt;
    }

    std::FILE* file_;
    std::size_t number_ = 0;
};

}  // namespace program
