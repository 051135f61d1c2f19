// The conformance kit of stores: stores that satisfy the requirements pass; for a store that violates one, the kit
// names which.
#include <doctest/doctest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <examples/ledger.hpp>
#include <tests/support/setting.hpp>
#include <tests/support/through_erased.hpp>
#include <understudy/kv_store.hpp>
#include <understudy/sim/laws/store_laws.hpp>

TEST_SUITE("store_laws") {
    namespace {

    using namespace understudy;

    enum class Flaw {
        none,
        throws,
        hidden_count,
        restless_snapshot,
        command_json,
        query_json,
        reply_json,
        counting_queries,
        shared_content,
        live_snapshot,
        restore_adds,
        restore_forgets,
        restore_by_chunks,
        throws_a_number,
        prepares_by_state,
        prepares_otherwise,
    };

    /// Counts words; `total` is stored beside them so that a restore can forget it. One type with all flaws compiles
    /// faster than one type for each.
    class Tally {
    public:
        using Command = std::string;
        using Query = std::string;
        struct Reply {
            std::uint64_t count = 0, total = 0;
            friend bool operator==(const Reply&, const Reply&) = default;
        };
        struct Content {
            std::map<std::string, std::uint64_t> words;
            std::uint64_t total = 0;
        };
        struct Snapshot {
            std::shared_ptr<const Content> content;
            std::size_t used = 0;
            std::string read(std::size_t most) {
                const auto piece = text(*content).substr(used, most);
                used += piece.size();
                return piece;
            }
        };

        static inline Flaw flaw = Flaw::none;
        static inline std::uint64_t calls = 0;  // counts for the whole process, as a clock does

        Tally() = default;
        Tally(const Tally& other) { *this = other; }
        Tally& operator=(const Tally& other) {
            content_ = flaw == Flaw::shared_content ? other.content_ : std::make_shared<Content>(*other.content_);
            return *this;
        }
        ~Tally() = default;

        Reply apply(const Command& word) {
            ++calls;
            if (flaw == Flaw::throws) throw std::runtime_error("no more room");
            ++content_->total;
            return {++content_->words[word], flaw == Flaw::hidden_count ? calls : content_->total};
        }
        std::string prepare_text(std::string_view json, PreparedCommand& prepared) const {
            prepared.words = {1, flaw == Flaw::prepares_by_state ? static_cast<std::uint32_t>(content_->total) : 0u};
            return decode_command(json).size() > 100 ? "too long" : "";
        }
        std::string apply_prepared(std::string_view json, const PreparedCommand& prepared) {
            const auto word = decode_command(json);
            return encode(apply(flaw == Flaw::prepares_otherwise && prepared.words[0] == 1 ? word + "!" : word));
        }
        Reply query(const Query& word) const {
            if (flaw == Flaw::counting_queries) ++content_->total;
            const auto found = content_->words.find(word);
            return {found == content_->words.end() ? 0 : found->second, 0};
        }

        Snapshot snapshot() const {
            if (flaw == Flaw::live_snapshot) return {content_};
            auto content = std::make_shared<Content>(*content_);
            if (flaw == Flaw::restless_snapshot) content->total += calls++;
            return {std::move(content)};
        }
        void restore_begin() { collected_.clear(); }
        void restore_chunk(std::string_view bytes) {
            if (flaw == Flaw::restore_by_chunks && bytes.size() < 5) return;
            collected_ += bytes;
        }
        void restore_end() {
            if (collected_.empty() || collected_.back() != '.') {
                if (flaw == Flaw::throws_a_number) throw 7;
                throw std::runtime_error("cut off");
            }
            auto content = std::make_shared<Content>();
            if (flaw == Flaw::restore_adds) *content = *content_;
            const auto json = nlohmann::json::parse(std::string_view{collected_}.substr(0, collected_.size() - 1));
            for (const auto& [word, count] : json.items()) content->words[word] = count.get<std::uint64_t>();
            content->total = 0;
            for (const auto& [word, count] : content->words)
                if (flaw != Flaw::restore_forgets) content->total += count;
            content_ = std::move(content);
        }

        static std::string encode_command(const Command& command) { return nlohmann::json(command).dump(); }
        static std::string encode_query(const Query& query) { return nlohmann::json(query).dump(); }
        static Command decode_command(std::string_view json) {
            auto word = nlohmann::json::parse(json).get<std::string>();
            return flaw == Flaw::command_json ? word.substr(0, 1) : word;
        }
        static Query decode_query(std::string_view json) {
            auto word = nlohmann::json::parse(json).get<std::string>();
            return flaw == Flaw::query_json ? word + "?" : word;
        }
        static std::string encode(const Reply& reply) {
            return "[" + std::to_string(reply.count) + "," + std::to_string(reply.total) + "]";
        }
        static Reply decode_reply(std::string_view text) {
            const auto json = nlohmann::json::parse(text);
            return {json.at(0).get<std::uint64_t>(), flaw == Flaw::reply_json ? 0 : json.at(1).get<std::uint64_t>()};
        }

    private:
        static std::string text(const Content& content) {
            auto json = nlohmann::json(content.words).dump();
            if (flaw == Flaw::restless_snapshot) json += std::to_string(content.total);
            return json + ".";
        }

        std::shared_ptr<Content> content_ = std::make_shared<Content>();
        std::string collected_;
    };

    std::vector<std::string> laws_that_tally_breaks(Flaw flaw) {
        Tally::flaw = flaw;
        Tally::calls = 0;
        return sim::broken_store_laws(Tally{}, {"one", "two", "three", "two", "four"}, {"two", "five"},
                                      test::setting("UNDERSTUDY_SEED", 1));
    }

    bool told(const std::vector<std::string>& broken, std::string_view law) {
        for (const auto& sentence : broken)
            if (sentence.starts_with(law) && sentence.find(", but ") == law.size()) return true;
        return false;
    }

    const std::string some_bytes{"\x00\xff\"\n", 4};

    std::vector<kv::Command> kv_commands() {
        return {kv::Put{"a", "1"},
                kv::Append{"a", "2"},
                kv::Put{some_bytes, some_bytes},
                kv::Append{"b", std::string(3'000, 'b')},
                kv::Cas{"a", "3", "12"},
                kv::Cas{"c", "1", {}},
                kv::Cas{"c", "2", {}},
                kv::Erase{"a"},
                kv::Erase{"nobody"},
                kv::Append{"b", std::string(kv::max_value, 'b')},
                kv::Put{"", ""}};
    }
    std::vector<kv::Query> kv_queries() {
        return {kv::Get{"a"}, kv::Get{some_bytes}, kv::Get{"nobody"}, kv::Keys{}, kv::Keys{"b", {}, 1}};
    }

    }  // namespace

    TEST_CASE("the store in the box keeps the laws of stores") {
        CHECK(sim::broken_store_laws(KvStore{}, kv_commands(), kv_queries()) == std::vector<std::string>{});
    }

    TEST_CASE("the store in the box keeps the laws of stores also behind the erased store of a service") {
        const test::ThroughErased erased{KvStore{}};
        CHECK(sim::broken_store_laws(erased, kv_commands(), kv_queries()) == std::vector<std::string>{});
    }

    TEST_CASE("the erased store of a service hides no broken law") {
        Tally::calls = 0;
        for (const auto flaw :
             {Flaw::restless_snapshot, Flaw::shared_content, Flaw::live_snapshot, Flaw::restore_forgets}) {
            CAPTURE(static_cast<int>(flaw));
            Tally::flaw = flaw;
            const test::ThroughErased erased{Tally{}};
            CHECK_FALSE(sim::broken_store_laws(erased, {"one", "two", "three", "two"}, {"two"}).empty());
        }
        Tally::flaw = Flaw::none;
    }

    TEST_CASE("a ledger keeps the laws of stores") {
        using ledger::Ask;
        using ledger::Op;
        const std::vector<ledger::Command> commands{{Op::open, "ada", {}, 0},         {Op::open, "bob", {}, 0},
                                                    {Op::deposit, "ada", {}, 100},    {Op::transfer, "ada", "bob", 30},
                                                    {Op::transfer, "bob", "ada", 99}, {Op::deposit, "cid", {}, 1},
                                                    {Op::deposit, "ada", {}, -1},     {Op::open, "ada", {}, 0}};
        const std::vector<ledger::Query> queries{{Ask::total, {}}, {Ask::balance, "ada"}, {Ask::balance, "cid"}};
        CHECK(sim::broken_store_laws(ledger::Ledger{}, commands, queries) == std::vector<std::string>{});
    }

    TEST_CASE("a store without a flaw breaks no law") {
        CHECK(laws_that_tally_breaks(Flaw::none) == std::vector<std::string>{});
    }

    TEST_CASE("each broken law is told") {
        const std::string restored = "a restored store equals the one whose snapshot it was";
        const std::vector<std::pair<Flaw, std::string>> laws{
            {Flaw::throws, "apply does not throw"},
            {Flaw::hidden_count, "the same commands give the same replies"},
            {Flaw::restless_snapshot, "the same commands give the same snapshot"},
            {Flaw::command_json, "a command survives its JSON"},
            {Flaw::query_json, "a query survives its JSON"},
            {Flaw::reply_json, "a reply survives its JSON"},
            {Flaw::counting_queries, "queries change nothing"},
            {Flaw::shared_content, "copies have nothing to do with each other"},
            {Flaw::live_snapshot, "a snapshot stays as it was taken while the store moves on"},
            {Flaw::restore_adds, restored},
            {Flaw::restore_forgets, restored},
            {Flaw::restore_by_chunks, restored},
            {Flaw::throws_a_number, "a snapshot that cannot be read throws std::exception"},
            {Flaw::prepares_by_state, "a prepared command has the effect of its JSON"},
            {Flaw::prepares_otherwise, "a prepared command has the effect of its JSON"},
        };
        for (const auto& [flaw, law] : laws) {
            const auto broken = laws_that_tally_breaks(flaw);
            CAPTURE(law);
            CAPTURE(broken);
            CHECK(told(broken, law));
            const bool breaks_others_too = flaw == Flaw::shared_content || flaw == Flaw::restless_snapshot ||
                                           flaw == Flaw::hidden_count || flaw == Flaw::counting_queries;
            if (!breaks_others_too) CHECK(broken.size() == 1);
        }
    }

    TEST_CASE("a store whose commands are all refused is told so") {
        const auto broken = sim::broken_store_laws(ledger::Ledger{}, {{ledger::Op::deposit, "ada", {}, -1}}, {});
        CHECK(told(broken, "a command survives its JSON"));
    }
}
