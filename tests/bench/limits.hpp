// Lower bounds for the time of a transfer: its parts alone in one process, and a socket whose bytes are not processed.
#pragma once

#include <filesystem>
#include <sstream>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <understudy/kv_store.hpp>
#include <understudy/wire/json.hpp>

#include "tests/bench/content.hpp"
#include "tests/bench/meter.hpp"

namespace understudy::bench {

using namespace protocol;

struct Alone {
    double writer = 0, encoder = 0, decoder = 0, reader = 0;  ///< Seconds for all keys.
};
/// Measures the library's own writer and reader, and the encoder and decoder between them, alternating in one process.
inline Alone alone(const Content& content, std::size_t chunk_bytes) {
    const auto text = output_of([&](int to) {
        KvStore store, copy;
        const std::string value(content.bytes, 'v');
        for (std::size_t n = 0; n < content.keys; ++n) store.apply(kv::Put{content.key(n), value});
        Alone it;
        auto mark = Clock::now();
        const auto lap = [&](double& sum) { sum += seconds_since(std::exchange(mark, Clock::now())); };
        auto snapshot = store.snapshot();
        copy.restore_begin();
        std::string payload;
        for (Install install; mark = Clock::now(), !(install.data = snapshot.read(chunk_bytes)).empty();) {
            lap(it.writer);
            payload.clear();
            wire::encode(payload, make_call_id(Method::replica_install, ++install.chunk), Message{install});
            lap(it.encoder);
            const auto decoded = std::get<wire::Decoded>(wire::decode(payload));
            lap(it.decoder);
            copy.restore_chunk(std::get<Install>(decoded.message).data);
            lap(it.reader);
        }
        copy.restore_end();
        if (copy.size() != content.keys) throw std::runtime_error{"restored something else"};
        std::ostringstream out;
        out << it.writer << ' ' << it.encoder << ' ' << it.decoder << ' ' << it.reader;
        write_all(to, out.str().data(), out.str().size());
        _exit(0);  // exits without destroying the stores
    });
    Alone it;
    std::istringstream{text} >> it.writer >> it.encoder >> it.decoder >> it.reader;
    return it;
}

/// Seconds for as many bytes through one socket, in writes of the size of a chunk, without processing them.
inline double relay_raw(Network network, const Content& content, std::size_t chunk_bytes, const std::string& folder) {
    const Place place{network, free_port(), folder + "/one_way"};
    const int listener = listen_at(place);
    const auto total = static_cast<std::size_t>(content.payload());
    Process sender{[&] {
        const int to = dial(place);
        const std::string chunk(chunk_bytes, 'x');
        for (std::size_t sent = 0; sent < total; sent += chunk.size())
            write_all(to, chunk.data(), std::min(chunk.size(), total - sent));
        close(to);
    }};
    const int from = accept_one(listener, place.network);
    const auto begun = Clock::now();
    std::vector<char> buffer(chunk_bytes);
    std::size_t received = 0;
    for (ssize_t count; (count = read(from, buffer.data(), buffer.size())) > 0;)
        received += static_cast<std::size_t>(count);
    const double taken = seconds_since(begun);
    close(from);
    close(listener);
    std::error_code ignored;
    std::filesystem::remove(folder + "/one_way", ignored);
    if (received != total) throw std::runtime_error{"the relay lost bytes"};
    return taken;
}

}  // namespace understudy::bench
