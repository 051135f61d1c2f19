// Target: the frame decoder must return the same payloads and end with the same error, however its bytes are split.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include <understudy/base/check.hpp>
#include <understudy/wire/frame.hpp>

#include "tests/fuzz/bytes.hpp"

namespace understudy::fuzz {

namespace detail {

struct Unframed {
    std::vector<std::string> payloads;
    error code;
    std::string what;
    std::size_t pending;
    friend bool operator==(const Unframed&, const Unframed&) = default;
};

/// Feeds pieces of the sizes that `cuts` names, repeatedly; a size of 0 means all remaining bytes.
inline Unframed unframe(std::string_view bytes, std::string_view cuts, std::size_t max_frame) {
    wire::FrameDecoder decoder{max_frame};
    Unframed out;
    for (std::size_t i = 0, used = 0; used < bytes.size(); ++i) {
        const std::size_t wanted = cuts.empty() ? 0 : static_cast<unsigned char>(cuts[i % cuts.size()]);
        const auto piece = bytes.substr(used, wanted == 0 ? std::string_view::npos : wanted);
        if (i % 2 == 0) {
            decoder.feed(piece);
        } else {  // as a socket does: the buffer is larger than the piece
            const auto room = decoder.prepare(piece.size() + 7);
            std::copy(piece.begin(), piece.end(), room.begin());
            decoder.commit(piece.size());
        }
        used += piece.size();
        while (auto payload = decoder.next()) {
            UNDERSTUDY_CHECK(!payload->empty() && payload->size() <= max_frame);
            out.payloads.emplace_back(*payload);
        }
        UNDERSTUDY_CHECK(decoder.pending() <= decoder.capacity());
        UNDERSTUDY_CHECK(decoder.failed() || decoder.pending() < max_frame + wire::frame_header);
        UNDERSTUDY_CHECK(!decoder.next());
    }
    out.code = decoder.code();
    out.what = decoder.what();
    out.pending = decoder.pending();
    return out;
}

/// As a connection does: reads go into a buffer shared with other connections, which leave their bytes there, and at
/// every `stop`th read not all payloads are taken at once.
inline Unframed unframe_shared(std::string_view bytes, std::string_view cuts, std::size_t max_frame, std::size_t stop) {
    constexpr std::size_t most = 300;
    wire::FrameDecoder decoder{max_frame};
    wire::FrameRoom shared{most + wire::FrameDecoder::most_moved};
    wire::SpareRooms spare;
    for (const std::size_t size : {40'000u, 80'000u}) spare.give(wire::FrameRoom{size});
    Unframed out;
    const auto take = [&](bool all) {
        while (auto payload = decoder.next()) {
            out.payloads.emplace_back(*payload);
            if (!all) break;
        }
        decoder.give_back(shared, spare);
        UNDERSTUDY_CHECK(shared.memory != nullptr && shared.size >= most);
        std::fill_n(shared.memory.get(), 2 * most, '#');
        UNDERSTUDY_CHECK(decoder.pending() <= decoder.capacity());
        UNDERSTUDY_CHECK(decoder.capacity() < wire::FrameDecoder::most_slack * (decoder.pending() + 1));
    };
    for (std::size_t i = 0, used = 0; used < bytes.size(); ++i) {
        const std::size_t wanted = cuts.empty() ? most : static_cast<unsigned char>(cuts[i % cuts.size()]) + 1u;
        decoder.borrow(shared, spare);
        const auto piece = bytes.substr(used, std::min(wanted, decoder.appetite(most)));
        UNDERSTUDY_CHECK(!piece.empty());
        const auto room = decoder.prepare(decoder.appetite(most), &spare);
        std::copy(piece.begin(), piece.end(), room.begin());
        decoder.commit(piece.size());
        used += piece.size();
        take(stop == 0 || i % stop != 0);
        take(true);
    }
    out.code = decoder.code();
    out.what = decoder.what();
    out.pending = decoder.pending();
    return out;
}

}  // namespace detail

inline void fuzz_frame(std::string_view bytes) {
    Bytes in{bytes};
    const auto max_frame = in.pick<std::size_t>({16u << 20, 1, 2, 20, 300, 70'000});
    const auto cuts = in.take(in.below(8));
    const auto stream = in.rest();
    const auto whole = detail::unframe(stream, {}, max_frame);
    UNDERSTUDY_CHECK(whole == detail::unframe(stream, cuts, max_frame));
    UNDERSTUDY_CHECK(whole == detail::unframe(stream, "\1", max_frame));
    for (const std::size_t stop : {0u, 1u, 3u}) {
        const auto shared = detail::unframe_shared(stream, cuts, max_frame, stop);
        UNDERSTUDY_CHECK(whole.payloads == shared.payloads && whole.what == shared.what);
    }

    std::string again;  // encoding the payloads again must give the input
    for (const auto& payload : whole.payloads) wire::append_frame(again, payload);
    UNDERSTUDY_CHECK(stream.starts_with(again) && stream.size() == again.size() + whole.pending);

    // The same bytes as a payload must arrive unchanged, between two others.
    std::string framed;
    const std::string payload = "{" + std::string{stream};
    for (const auto& one : {std::string{"[]"}, payload, std::string{"{}"}}) wire::append_frame(framed, one);
    const auto sent = detail::unframe(framed, cuts, payload.size() + 2);
    UNDERSTUDY_CHECK(sent.payloads == (std::vector<std::string>{"[]", payload, "{}"}) && sent.what.empty());
}

}  // namespace understudy::fuzz
