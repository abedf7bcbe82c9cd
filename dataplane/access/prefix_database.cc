#include "dataplane/access/prefix_database.h"

#include <arpa/inet.h>
#include <maxminddb.h>
#include <netinet/in.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <format>

#include "cache/base/bounded_file.h"

namespace nearfield::access {
namespace {

// The codes that ISO 3166-1 assigns, in order, and XK, which databases use for Kosovo.
constexpr std::string_view kCodes =
    "ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQ"
    "BRBSBTBVBWBYBZCACCCDCFCGCHCICKCLCMCNCOCRCUCVCWCXCYCZDEDJDKDM"
    "DODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGS"
    "GTGUGWGYHKHMHNHRHTHUIDIEILIMINIOIQIRISITJEJMJOJPKEKGKHKIKMKN"
    "KPKRKWKYKZLALBLCLILKLRLSLTLULVLYMAMCMDMEMFMGMHMKMLMMMNMOMPMQ"
    "MRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONPNRNUNZOMPAPEPFPGPHPKPLPM"
    "PNPRPSPTPWPYQARERORSRURWSASBSCSDSESGSHSISJSKSLSMSNSOSRSSSTSV"
    "SXSYSZTCTDTFTGTHTJTKTLTMTNTOTRTTTVTWTZUAUGUMUSUYUZVAVCVEVGVI"
    "VNVUWFWSXKYEYTZAZMZW";
static_assert(kCodes.size() == std::size_t{250} * 2);

constexpr auto kIsCode = [] {
  std::array<bool, std::size_t{26} * 26> is_code{};
  for (std::size_t i = 0; i < kCodes.size(); i += 2) {
    is_code[static_cast<std::size_t>(kCodes[i] - 'A') * 26 +
            static_cast<std::size_t>(kCodes[i + 1] - 'A')] = true;
  }
  return is_code;
}();

class MaxMindDatabase final : public PrefixDatabase {
 public:
  static Result<std::shared_ptr<const PrefixDatabase>> open(const std::string& path) {
    if (!may_be_opened(path)) return refused(path, "it is no regular file");
    auto database = std::shared_ptr<MaxMindDatabase>(new MaxMindDatabase);
    const int status = MMDB_open(path.c_str(), MMDB_MODE_MMAP, &database->file_);
    if (status != MMDB_SUCCESS) {
      return refused(path, status == MMDB_IO_ERROR ? std::strerror(errno) : MMDB_strerror(status));
    }
    database->is_open_ = true;
    return database;
  }

  ~MaxMindDatabase() override {
    if (is_open_) MMDB_close(&file_);
  }
  MaxMindDatabase(const MaxMindDatabase&) = delete;
  MaxMindDatabase& operator=(const MaxMindDatabase&) = delete;

  PrefixRecord find(const net::Address& address) const override {
    PrefixRecord record;
    int error = MMDB_SUCCESS;
    MMDB_lookup_result_s found{};
    if (address.is_v4()) {
      sockaddr_in socket_address{};
      socket_address.sin_family = AF_INET;
      std::memcpy(&socket_address.sin_addr, address.bytes.data() + 12, 4);
      found =
          MMDB_lookup_sockaddr(&file_, reinterpret_cast<const sockaddr*>(&socket_address), &error);
    } else {
      sockaddr_in6 socket_address{};
      socket_address.sin6_family = AF_INET6;
      std::memcpy(&socket_address.sin6_addr, address.bytes.data(), 16);
      found =
          MMDB_lookup_sockaddr(&file_, reinterpret_cast<const sockaddr*>(&socket_address), &error);
    }
    if (error != MMDB_SUCCESS || !found.found_entry) return record;
    MMDB_entry_data_s data{};
    if (MMDB_get_value(&found.entry, &data, "country", "iso_code", nullptr) == MMDB_SUCCESS &&
        data.has_data && data.type == MMDB_DATA_TYPE_UTF8_STRING) {
      const auto territory = Territory::parse({data.utf8_string, data.data_size});
      if (territory) record.territory = *territory;
    }
    if (MMDB_get_value(&found.entry, &data, "autonomous_system_number", nullptr) == MMDB_SUCCESS &&
        data.has_data && data.type == MMDB_DATA_TYPE_UINT32) {
      record.network_number = data.uint32;
    }
    return record;
  }

  std::string description() const override {
    const std::chrono::sys_seconds built{
        std::chrono::seconds(static_cast<std::int64_t>(file_.metadata.build_epoch))};
    return std::format("{} of {:%F}", file_.metadata.database_type,
                       std::chrono::floor<std::chrono::days>(built));
  }

 private:
  MaxMindDatabase() = default;
  static std::unexpected<Error> refused(const std::string& path, const std::string& why) {
    return failure("prefix database " + path + " cannot be opened (" + why +
                   "): give a MaxMind DB file, or leave the setting out");
  }
  MMDB_s file_{};
  bool is_open_ = false;
};

}  // namespace

std::optional<Territory> Territory::parse(std::string_view text) {
  if (text.size() != 2) return std::nullopt;
  Territory territory;
  for (std::size_t i = 0; i < 2; ++i) {
    const char c = text[i];
    const char upper = c >= 'a' && c <= 'z' ? static_cast<char>(c & ~0x20) : c;
    if (upper < 'A' || upper > 'Z') return std::nullopt;
    territory.letters[i] = upper;
  }
  const auto place = static_cast<std::size_t>(territory.letters[0] - 'A') * 26 +
                     static_cast<std::size_t>(territory.letters[1] - 'A');
  return kIsCode[place] ? std::optional(territory) : std::nullopt;
}

Result<std::shared_ptr<const PrefixDatabase>> open_prefix_database(const std::string& path) {
  return MaxMindDatabase::open(path);
}

}  // namespace nearfield::access
