// PrefixDatabase: what is known of a client by the prefix of its address. The one implementation
// reads MaxMind DB files; tests bring tables of their own.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cache/base/error.h"
#include "dataplane/net/endpoint.h"

namespace nearfield::access {

// ISO 3166-1 alpha-2, upper case; {0, 0} is "not known".
struct Territory {
  std::array<char, 2> letters{};

  bool is_known() const { return letters[0] != 0; }
  std::string_view text() const { return is_known() ? std::string_view(letters.data(), 2) : "??"; }
  // A code that ISO 3166-1 assigns (or XK, Kosovo), of any case; nullopt for anything else, so that
  // "UK" in a list of refused territories is an error and not a hole.
  static std::optional<Territory> parse(std::string_view text);
  auto operator<=>(const Territory&) const = default;
};

struct PrefixRecord {
  Territory territory;
  std::uint32_t network_number = 0;  // of the autonomous system; 0: not known
};

class PrefixDatabase {
 public:
  virtual ~PrefixDatabase() = default;
  // Thread-safe, about a microsecond. An address that is not in it gives an empty record.
  virtual PrefixRecord find(const net::Address& address) const = 0;
  // "GeoLite2-Country of 2026-11-01", for the log.
  virtual std::string description() const = 0;
};

// Maps the file (read-only) until the object goes. Only its metadata is checked: damage further
// inside gives empty records.
Result<std::shared_ptr<const PrefixDatabase>> open_prefix_database(const std::string& path);

}  // namespace nearfield::access
