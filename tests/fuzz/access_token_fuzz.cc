// Common Access Tokens and JWK Sets. The first byte chooses: the bytes are a COSE message, its
// claims alone (signed here, so that every claim is judged), or a key set.
#include <string>

#include "dataplane/access/cbor.h"
#include "dataplane/access/jwk_set.h"
#include "dataplane/access/token.h"
#include "tests/fuzz/access_fuzz_support.h"
#include "tests/fuzz/fuzz_support.h"

using namespace nearfield;
using namespace nearfield::access;

namespace {

void judge(const std::string& token) {
  fuzz::AccessWorld& world = fuzz::AccessWorld::get();
  http::Fields fields;
  fields.add("CTA-Common-Access-Token", token);
  const std::string target = "/albums/1/a.m4s";
  const AccessRequest request = world.request(target, fields);
  const Decision decision = world.check(request);
  const Explanation explanation = explain(world.policy(), request, nullptr);
  FUZZ_CHECK(explanation.reason == decision.reason || decision.reason == Reason::kBusy);
}

// COSE_Mac0 around these claims, by the key that the policy trusts.
std::string mac(std::string_view claims) {
  fuzz::AccessWorld& world = fuzz::AccessWorld::get();
  std::string header;
  append_cbor_head(header, 5, 1);
  append_cbor_integer(header, 1);
  append_cbor_integer(header, 5);
  std::string structure;
  append_cbor_head(structure, 4, 4);
  append_cbor_text(structure, "MAC0");
  append_cbor_bytes(structure, bytes_of(header));
  append_cbor_bytes(structure, {});
  append_cbor_bytes(structure, bytes_of(claims));
  std::string message;
  append_cbor_head(message, 4, 4);
  append_cbor_bytes(message, bytes_of(header));
  append_cbor_head(message, 5, 0);
  append_cbor_bytes(message, bytes_of(claims));
  append_cbor_bytes(message, world.shared_key().sign(bytes_of(structure)));
  std::string text;
  append_base64url(text, bytes_of(message));
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view input = fuzz::text_of(data + 1, size - 1);
  if (data[0] % 3 == 2) {
    const auto keys = parse_jwk_set(input, "input");
    FUZZ_CHECK(keys.has_value() || !keys.error().message.empty());
    return 0;
  }
  if (const auto item = parse_cbor(bytes_of(input))) {
    std::string written;
    append_cbor(written, *item);
    const auto reread = parse_cbor(bytes_of(written));
    FUZZ_CHECK(reread.has_value());
    std::string again;
    append_cbor(again, *reread);
    FUZZ_CHECK(again == written);
  }
  if (data[0] % 3 == 1) {
    const std::string token = mac(input);
    if (token.size() <= kMaximumTokenBytes) judge(token);
    return 0;
  }
  std::string token;
  append_base64url(token, bytes_of(input));
  judge(token);
  return 0;
}
