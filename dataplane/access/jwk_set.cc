#include "dataplane/access/jwk_set.h"

#include <boost/container/pmr/memory_resource.hpp>
#include <boost/json.hpp>
#include <cstring>
#include <new>
#include <optional>
#include <utility>

#include "cache/base/assert.h"
#include "cache/base/bounded_file.h"

namespace nearfield::access {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaximumKeyIdBytes = 256;
constexpr std::size_t kMinimumSecretBytes = 32;  // RFC 7518 3.2: no shorter than the hash
constexpr std::size_t kMaximumSecretBytes = 1024;

// Memory of a JSON document that holds secrets: whatever happens, all of it is wiped as it goes.
// Each block knows its size: Boost.JSON gives some of them back under another one.
class WipedMemory final : public boost::container::pmr::memory_resource {
 private:
  static constexpr std::size_t kHeadBytes = __STDCPP_DEFAULT_NEW_ALIGNMENT__;

  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    NEARFIELD_ASSERT(alignment <= kHeadBytes);
    auto* head = static_cast<std::uint8_t*>(::operator new(kHeadBytes + bytes));
    std::memcpy(head, &bytes, sizeof(bytes));
    return head + kHeadBytes;
  }
  void do_deallocate(void* memory, std::size_t, std::size_t) override {
    std::uint8_t* head = static_cast<std::uint8_t*>(memory) - kHeadBytes;
    std::size_t bytes = 0;
    std::memcpy(&bytes, head, sizeof(bytes));
    wipe({head + kHeadBytes, bytes});
    ::operator delete(head);
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

std::optional<std::string_view> text_member(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return std::string_view(value->get_string());
}

// Bytes of a key that do not stay in memory.
class SecretBytes {
 public:
  explicit SecretBytes(std::optional<std::vector<std::uint8_t>> bytes) : bytes_(std::move(bytes)) {}
  ~SecretBytes() {
    if (bytes_) wipe(*bytes_);
  }
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  bool is_valid() const { return bytes_.has_value(); }
  Bytes get() const { return bytes_ ? Bytes(*bytes_) : Bytes(); }

 private:
  std::optional<std::vector<std::uint8_t>> bytes_;
};

SecretBytes bytes_member(const json::object& object, std::string_view name) {
  const auto text = text_member(object, name);
  return SecretBytes(text ? decode_base64url(*text) : std::nullopt);
}

Result<std::shared_ptr<const Key>> read_elliptic(const json::object& jwk, std::string id,
                                                 const std::string& where) {
  if (text_member(jwk, "crv") != "P-256") return std::shared_ptr<const Key>();
  const auto algorithm = text_member(jwk, "alg");
  if (algorithm && *algorithm != "ES256") return std::shared_ptr<const Key>();
  if (text_member(jwk, "use").value_or("sig") != "sig") return std::shared_ptr<const Key>();
  const SecretBytes x = bytes_member(jwk, "x");
  const SecretBytes y = bytes_member(jwk, "y");
  if (!x.is_valid() || !y.is_valid()) {
    return failure(where + " has no readable \"x\" and \"y\": both are base64url of 32 bytes");
  }
  const SecretBytes d = bytes_member(jwk, "d");
  if (jwk.contains("d") && !d.is_valid()) {
    return failure(where +
                   " has a \"d\" that is not base64url: leave it out of keys that verify only");
  }
  auto key = Key::es256(std::move(id), x.get(), y.get(), d.get());
  if (key == nullptr) {
    return failure(where +
                   " is not a point of P-256, or its \"d\" does not belong to it: export it again");
  }
  return key;
}

Result<std::shared_ptr<const Key>> read_symmetric(const json::object& jwk, std::string id,
                                                  const std::string& where) {
  const auto name = text_member(jwk, "alg");
  if (!name) {
    return failure(where +
                   " has no \"alg\": say what this secret is for, \"HS256\" or \"A128GCM\"");
  }
  const SecretBytes secret = bytes_member(jwk, "k");
  if (!secret.is_valid()) {
    return failure(where + " has no readable \"k\": the secret in base64url without padding");
  }
  const std::size_t size = secret.get().size();
  const std::string_view use = text_member(jwk, "use").value_or(*name == "HS256" ? "sig" : "enc");
  if (*name == "HS256") {
    if (use != "sig")
      return failure(where + " is HS256 with another \"use\" than \"sig\": one key, one use");
    if (size < kMinimumSecretBytes || size > kMaximumSecretBytes) {
      return failure(where + " has a secret of " + std::to_string(size) +
                     " bytes: HS256 wants 32 to 1024 random bytes (RFC 7518 3.2)");
    }
    return Key::symmetric(Algorithm::kHs256, std::move(id), secret.get());
  }
  if (*name == "A128GCM" || *name == "A256GCM") {
    const std::size_t wanted = *name == "A128GCM" ? 16 : 32;
    if (use != "enc")
      return failure(where + " encrypts but its \"use\" is not \"enc\": one key, one use");
    if (size != wanted) {
      return failure(where + " has a secret of " + std::to_string(size) +
                     " bytes: " + std::string(*name) + " wants " + std::to_string(wanted));
    }
    return Key::symmetric(wanted == 16 ? Algorithm::kA128Gcm : Algorithm::kA256Gcm, std::move(id),
                          secret.get());
  }
  return std::shared_ptr<const Key>();  // HS384, A192GCM, ...: for other verifiers
}

Result<std::shared_ptr<const Key>> read_key(const json::value& value, const std::string& place) {
  if (!value.is_object()) return failure(place + " is no object: a JWK Set lists keys as objects");
  const json::object& jwk = value.get_object();
  std::string id;
  if (const json::value* kid = jwk.if_contains("kid")) {
    if (!kid->is_string() || kid->get_string().size() > kMaximumKeyIdBytes) {
      return failure(place + " has a \"kid\" that is no text of at most 256 bytes");
    }
    id = std::string(kid->get_string());
  }
  const std::string where = id.empty() ? place : place + " ('" + id + "')";
  const auto type = text_member(jwk, "kty");
  if (!type) return failure(where + " has no \"kty\"");
  if (*type == "EC") return read_elliptic(jwk, std::move(id), where);
  if (*type == "oct") return read_symmetric(jwk, std::move(id), where);
  return std::shared_ptr<const Key>();
}

}  // namespace

Result<std::vector<std::shared_ptr<const Key>>> parse_jwk_set(std::string_view text,
                                                              const std::string& origin) {
  if (text.size() > kMaximumKeySetBytes) return failure(origin + ": a key set larger than 256 KiB");
  boost::system::error_code error;
  json::parse_options options;
  options.max_depth = 8;
  WipedMemory memory;  // of the document and of the parser's scratch space
  json::parser parser(&memory, options);
  parser.reset(&memory);
  parser.write(text, error);
  const json::value document = error ? json::value() : parser.release();
  if (error)
    return failure(origin + " is not JSON (" + error.message() + "): write a JWK Set, RFC 7517");
  const json::array* entries = nullptr;
  if (document.is_object()) {
    const json::value* member = document.get_object().if_contains("keys");
    if (member != nullptr && member->is_array()) entries = &member->get_array();
  }
  if (entries == nullptr)
    return failure(origin + " has no array \"keys\": write a JWK Set, RFC 7517");
  if (entries->size() > kMaximumKeysInSet)
    return failure(origin + " has more than 64 keys: split it");

  std::vector<std::shared_ptr<const Key>> keys;
  for (std::size_t i = 0; i < entries->size(); ++i) {
    auto key = read_key((*entries)[i], origin + ": key " + std::to_string(i + 1));
    if (!key) return std::unexpected(key.error());
    if (*key == nullptr) continue;
    bool is_double = false;
    for (auto& other : keys) {
      if (other->id() != (*key)->id() || other->algorithm() != (*key)->algorithm()) continue;
      if (other->fingerprint() == (*key)->fingerprint()) {
        if (!other->can_sign()) other = *key;
        is_double = true;
      } else if (!other->id().empty()) {
        return failure(origin + ": two different keys have the kid '" + other->id() +
                       "': give each its own");
      }
    }
    if (!is_double) keys.push_back(*std::move(key));
  }
  return keys;
}

Result<std::vector<std::shared_ptr<const Key>>> load_jwk_set(const std::string& path,
                                                             const std::string& what) {
  auto text = read_bounded_file(path, kMaximumKeySetBytes);
  if (!text) return failure(what + ": " + text.error().message);
  auto keys = parse_jwk_set(*text, what + ", file " + path);
  wipe({reinterpret_cast<std::uint8_t*>(text->data()), text->size()});
  return keys;
}

}  // namespace nearfield::access
