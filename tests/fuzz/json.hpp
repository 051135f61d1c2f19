// Target: any bytes as JSON. The scanner must accept what nlohmann accepts, and a decoded message must be the same
// after encoding and decoding.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>

#include <nlohmann/json.hpp>

#include <understudy/base/check.hpp>
#include <understudy/kv/json.hpp>
#include <understudy/kv_store.hpp>
#include <understudy/wire/bytes.hpp>
#include <understudy/wire/bytes_json.hpp>
#include <understudy/wire/fast_decoder.hpp>
#include <understudy/wire/frame.hpp>
#include <understudy/wire/json.hpp>
#include <understudy/wire/scan.hpp>

namespace understudy::fuzz {

namespace detail {

/// nlohmann's verdict, except where the scanner differs on purpose. nlohmann skips a byte order mark, takes a zero byte
/// for the end of the text, and refuses numbers that no double can hold; the scanner refuses the first two and accepts
/// the last.
inline bool nlohmann_accepts(std::string_view text) {
    if (text.starts_with("\xEF\xBB\xBF") || text.find('\0') != text.npos) return false;
    try {
        return !nlohmann::json::parse(text).is_discarded();
    } catch (const nlohmann::json::out_of_range&) {
        return true;
    } catch (const nlohmann::json::parse_error&) {
        return false;
    }
}

inline void same_verdict(std::string_view text) {
    const auto wrong = wire::check_json(text);
    if (wrong.find("64 levels") != wrong.npos) return;
    // nlohmann does not read on after a number that is too large.
    UNDERSTUDY_CHECK(wrong.empty() ? nlohmann_accepts(text) : !nlohmann::json::accept(text) || !nlohmann_accepts(text));
}

inline void decode_and_encode(std::string_view text) {
    const auto decoded = wire::decode(text);
    if (const auto* wrong = std::get_if<wire::DecodeError>(&decoded)) {
        UNDERSTUDY_CHECK(!wrong->text.empty());
        const auto emitted = wire::encode(wrong->id, wire::to_failure(*wrong));
        UNDERSTUDY_CHECK(wire::check_json(emitted).empty());
        UNDERSTUDY_CHECK(wire::check_json(wire::connection_error(wrong->code, wrong->text)).empty());
        return;
    }
    UNDERSTUDY_CHECK(wire::check_json(text).empty());
    const auto& first = std::get<wire::Decoded>(decoded);
    const auto written = wire::encode(first.id, first.message);
    const auto again = wire::decode(written);
    UNDERSTUDY_CHECK(std::holds_alternative<wire::Decoded>(again));
    UNDERSTUDY_CHECK(std::get<wire::Decoded>(again) == first);
    UNDERSTUDY_CHECK(wire::encode(first.id, std::get<wire::Decoded>(again).message) == written);
}

/// If the fast decoder accepts a text, the general decoder must give the same message.
inline void readings_agree(std::string_view text) {
    wire::Decoded usual;
    const auto general_agrees = [&] {
        const auto any = wire::decode_any(text);
        UNDERSTUDY_CHECK(std::holds_alternative<wire::Decoded>(any));
        UNDERSTUDY_CHECK(std::get<wire::Decoded>(any) == usual);
    };
    static protocol::MessageView view;  // with what is left of former texts, as in a service
    if (wire::decode_view(text, usual.id, view)) {
        usual.message = protocol::owned(view);
        general_agrees();
    }
    if (wire::FastDecoder<protocol::Message>{text}.read(usual.id, usual.message)) general_agrees();
    if (const auto put = understudy::kv::FastKvCommand::read(text))
        UNDERSTUDY_CHECK(understudy::kv::decode_any_kv_command(text) == put->command());
}

inline void bytes_survive(std::string_view text) {
    UNDERSTUDY_CHECK(wire::decode_bytes(wire::encode_bytes(text)) == text);
    UNDERSTUDY_CHECK(wire::bytes_from_json(wire::bytes_to_json(text)) == text);
    std::string base64;
    wire::append_base64(base64, text);
    UNDERSTUDY_CHECK(wire::decode_base64(base64) == text);
    if (const auto bytes = wire::decode_base64(text)) {  // each byte sequence has only one base64 text
        base64.clear();
        wire::append_base64(base64, *bytes);
        UNDERSTUDY_CHECK(base64 == text);
    }
    const auto shown = wire::quoted(text);
    UNDERSTUDY_CHECK(shown.size() <= 83);
    if (const auto bytes = wire::decode_bytes(text))
        UNDERSTUDY_CHECK(wire::decode_bytes(wire::encode_bytes(*bytes)) == bytes);
}

/// `decode` either throws std::invalid_argument with the reason, or returns a value that is the same after encoding and
/// decoding.
template <typename Decode, typename Encode>
void codec_agrees(std::string_view text, Decode decode, Encode encode) {
    try {
        const auto value = decode(text);
        UNDERSTUDY_CHECK(decode(encode(value)) == value);
    } catch (const std::invalid_argument& wrong) {
        UNDERSTUDY_CHECK(*wrong.what() != '\0');
    }
}

}  // namespace detail

inline void fuzz_json(std::string_view text) {
    detail::same_verdict(text);
    detail::decode_and_encode(text);
    detail::readings_agree(text);
    detail::bytes_survive(text);
    detail::codec_agrees(text, &KvStore::decode_command, &KvStore::encode_command);
    detail::codec_agrees(text, &KvStore::decode_query, &KvStore::encode_query);
    detail::codec_agrees(text, &KvStore::decode_reply, &KvStore::encode);
}

}  // namespace understudy::fuzz
