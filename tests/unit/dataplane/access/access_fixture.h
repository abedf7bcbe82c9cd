// What the tests of access control share: options with one signed rule, a database without a file,
// and requests at a time when the tokens of vectors.h hold.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "dataplane/access/cbor.h"
#include "dataplane/access/check.h"
#include "dataplane/access/digest.h"
#include "dataplane/access/explain.h"
#include "tests/unit/dataplane/access/vectors.h"

namespace nearfield::access {

inline constexpr WallTime kNow{std::chrono::seconds(1800000000)};

std::string jwk_set(std::initializer_list<std::string_view> keys);
KeySetOptions key_set(std::string name, std::initializer_list<std::string_view> keys);

// One rule for music.example/albums, signed, that trusts keys "one" and "shared".
AccessOptions signed_options();
// The same, and everything else of the host open.
AccessOptions signed_beside_open();

class TablePrefixDatabase final : public PrefixDatabase {
 public:
  void add(std::string_view address, std::string_view territory, std::uint32_t network = 0);
  PrefixRecord find(const net::Address& address) const override;
  std::string description() const override { return "a table"; }

 private:
  std::map<net::Address, PrefixRecord> records_;
};

// 192.0.2.7 is in DE and AS 64500, 198.51.100.1 in US, 203.0.113.1 nowhere.
std::shared_ptr<const PrefixDatabase> small_world();

// The policy, or a failed test.
std::shared_ptr<const AccessPolicy> policy_of(
    const AccessOptions& options,
    const std::shared_ptr<const PrefixDatabase>& database = small_world());
// The message of the error, or a failed test.
std::string error_of(const AccessOptions& options,
                     const std::shared_ptr<const PrefixDatabase>& database = small_world());

// A request in the making; text it refers to lives as long as it does.
struct TestRequest {
  std::string method = "GET";
  http::Scheme scheme = http::Scheme::kHttps;
  std::string authority = "music.example";
  std::string target = "/albums/1/a.m4s";
  http::Fields fields;
  std::string client = "192.0.2.7";
  WallTime now = kNow;
  MonotonicTime monotonic_now{std::chrono::seconds(1000)};
  bool clock_trusted = true;

  AccessRequest get() const;
};
// The usual target with this token in the query: "/albums/1/a.m4s?URISigningPackage=..."
TestRequest with_jwt(std::string_view token, std::string_view path = "/albums/1/a.m4s");
TestRequest with_cat(std::string_view token);  // in the header

// The same CAT in other bytes: `change` may alter all of the COSE message that nobody signs.
template <typename Change>
std::string respelled(std::string_view token, Change change) {
  const auto bytes = decode_base64url(token);
  auto message = parse_cbor(*bytes);
  CborItem* cose = &*message;
  while (cose->is(CborItem::Type::kTag)) cose = &cose->children.front();
  change(*cose);
  std::string written;
  append_cbor(written, *message);
  std::string text;
  append_base64url(text, bytes_of(written));
  return text;
}

// A check with everything in its place.
class Gate {
 public:
  explicit Gate(const AccessOptions& options = signed_options(), CheckOptions check_options = {});
  Decision check(const TestRequest& request) { return check_.check(request.get()); }
  Reason reason(const TestRequest& request) { return check(request).reason; }
  void reload(const AccessOptions& options) { check_.set_policy(policy_of(options)); }
  AccessCheck& operator*() { return check_; }
  const CheckCounters& counters() const { return check_.counters(); }

 private:
  AccessCheck check_;
};

}  // namespace nearfield::access

// Compares reasons by name.
#define CHECK_REASON(expected, actual)                                                          \
  STRCMP_EQUAL(                                                                                 \
      std::string(nearfield::access::reason_name(nearfield::access::Reason::expected)).c_str(), \
      std::string(nearfield::access::reason_name(actual)).c_str())
