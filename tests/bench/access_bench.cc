// access_bench: what deciding who may listen costs a worker: microseconds a check, the first of a
// token and further ones, good and bad. One run, one line of JSON; `./dev bench access` makes many.
//
// What counts: the processor time of the thread (CLOCK_THREAD_CPUTIME_ID) over all checks of a
// case. First checks use as many different tokens as there are checks, signed beforehand.
#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/access/cbor.h"
#include "dataplane/access/check.h"
#include "dataplane/access/digest.h"
#include "dataplane/access/key.h"

namespace {

using namespace nearfield;
using namespace nearfield::access;

constexpr WallTime kNow{std::chrono::seconds(1800000000)};
constexpr std::int64_t kExpires = 1800003600;

double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

std::string encoded(std::string_view text) {
  std::string out;
  append_base64url(out, bytes_of(text));
  return out;
}

struct Keys {
  // RFC 6979 A.2.5: published, and so for nothing but this.
  Digest x = *parse_hex_digest("60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6");
  Digest y = *parse_hex_digest("7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299");
  Digest d = *parse_hex_digest("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");
  std::string secret = std::string(32, 's');
  std::shared_ptr<const Key> es256 = Key::es256("es", x, y, d);
  std::shared_ptr<const Key> hs256 = Key::symmetric(Algorithm::kHs256, "hs", bytes_of(secret));

  std::string set() const {
    return R"({"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"es","x":")" +
           encoded(text_of(x)) + R"(","y":")" + encoded(text_of(y)) +
           R"("},{"kty":"oct","alg":"HS256","kid":"hs","k":")" + encoded(secret) + "\"}]}";
  }
};

std::string jwt(const Key& key, int listener) {
  std::string text = encoded(R"({"alg":")" + std::string(algorithm_name(key.algorithm())) +
                             R"(","kid":")" + key.id() + "\"}");
  text += '.';
  text += encoded(R"({"iss":"label","exp":)" + std::to_string(kExpires) + R"(,"x-listener":")" +
                  std::to_string(listener) +
                  R"(","cdniuc":"regex:https://music\\.example/albums/[0-9]+/.*"})");
  const std::vector<std::uint8_t> signature = key.sign(bytes_of(text));
  text += '.';
  append_base64url(text, signature);
  return text;
}

std::string cat(const Key& key, int listener) {
  const bool is_signature = key.algorithm() == Algorithm::kEs256;
  std::string claims;
  append_cbor_head(claims, 5, 5);
  append_cbor_integer(claims, 1);
  append_cbor_text(claims, "label");
  append_cbor_integer(claims, 4);
  append_cbor_integer(claims, kExpires);
  append_cbor_integer(claims, 7);
  append_cbor_bytes(claims, bytes_of(std::to_string(listener)));
  append_cbor_integer(claims, 310);
  append_cbor_integer(claims, 1);
  append_cbor_integer(claims, 312);  // catu: host exactly, path from its beginning
  append_cbor_head(claims, 5, 2);
  append_cbor_integer(claims, 1);
  append_cbor_head(claims, 5, 1);
  append_cbor_integer(claims, 0);
  append_cbor_text(claims, "music.example");
  append_cbor_integer(claims, 3);
  append_cbor_head(claims, 5, 1);
  append_cbor_integer(claims, 1);
  append_cbor_text(claims, "/albums/");
  std::string header;
  append_cbor_head(header, 5, 1);
  append_cbor_integer(header, 1);
  append_cbor_integer(header, is_signature ? -7 : 5);
  std::string structure;
  append_cbor_head(structure, 4, 4);
  append_cbor_text(structure, is_signature ? "Signature1" : "MAC0");
  append_cbor_bytes(structure, bytes_of(header));
  append_cbor_bytes(structure, {});
  append_cbor_bytes(structure, bytes_of(claims));
  std::string message;
  append_cbor_head(message, 4, 4);
  append_cbor_bytes(message, bytes_of(header));
  append_cbor_head(message, 5, 1);
  append_cbor_integer(message, 4);
  append_cbor_bytes(message, bytes_of(key.id()));
  append_cbor_bytes(message, bytes_of(claims));
  append_cbor_bytes(message, key.sign(bytes_of(structure)));
  return encoded(message);
}

class Bench {
 public:
  explicit Bench(int checks) : checks_(checks) {
    AccessOptions options;
    KeySetOptions set;
    set.name = "label";
    set.inline_sets = {keys_.set()};
    set.issuers = {"label"};
    options.key_sets = {set};
    RuleOptions rule;
    rule.host = "music.example";
    rule.key_sets = {"label"};
    options.rules = {rule};
    RuleOptions open;
    open.host = "open.example";
    open.mode = Mode::kOpen;
    options.rules.push_back(open);
    auto policy = AccessPolicy::make(options, nullptr, nullptr);
    if (!policy) {
      std::fprintf(stderr, "%s\n", policy.error().message.c_str());
      std::exit(1);
    }
    policy_ = *policy;
  }

  void run() {
    std::printf("{");
    first_and_known("signed URI, ES256", [this](int i) { return query(jwt(*keys_.es256, i)); });
    first_and_known("signed URI, HS256", [this](int i) { return query(jwt(*keys_.hs256, i)); });
    first_and_known("CAT, ES256", [this](int i) { return header(cat(*keys_.es256, i)); });
    first_and_known("CAT, HS256", [this](int i) { return header(cat(*keys_.hs256, i)); });
    first_and_known("bad signature, ES256", [this](int i) {
      std::string token = jwt(*keys_.es256, i);
      token[token.size() - 20] = token[token.size() - 20] == 'A' ? 'B' : 'A';
      return query(token);
    });
    first_and_known("expired, ES256", [this](int i) {
      Input input = query(jwt(*keys_.es256, i));
      input.now = kNow + std::chrono::hours(2);
      return input;
    });
    first_and_known("no token", [this](int) { return query(""); });
    first_and_known("open", [this](int) {
      Input input = query("");
      input.authority = "open.example";
      return input;
    });
    std::printf("}\n");
  }

 private:
  struct Input {
    std::string authority = "music.example";
    std::string target = "/albums/1/0001.m4s";
    http::Fields fields;
    WallTime now = kNow;
  };

  Input query(const std::string& token) {
    Input input;
    if (!token.empty()) input.target += "?URISigningPackage=" + token;
    return input;
  }
  Input header(const std::string& token) {
    Input input;
    input.fields.add("CTA-Common-Access-Token", token);
    return input;
  }

  double microseconds(AccessCheck& check, const std::vector<Input>& inputs, int rounds) {
    const net::Address client = *net::Address::parse("192.0.2.7");
    const double start = cpu_seconds();
    for (int round = 0; round < rounds; ++round) {
      for (const Input& input : inputs) {
        AccessRequest request;
        request.scheme = http::Scheme::kHttps;
        request.authority = input.authority;
        request.target = input.target;
        request.fields = &input.fields;
        request.client = client;
        request.now = input.now;
        request.monotonic_now = MonotonicTime(std::chrono::seconds(1000));
        reasons_ += static_cast<unsigned>(check.check(request).reason);
      }
    }
    return (cpu_seconds() - start) * 1e6 / (static_cast<double>(inputs.size()) * rounds);
  }

  void first_and_known(const char* name, const std::function<Input(int)>& make) {
    std::vector<Input> inputs;
    for (int i = 0; i < checks_; ++i) inputs.push_back(make(i));
    CheckOptions options;
    options.bad_tokens = 65536;  // so that none of them is forgotten within a run
    options.verifications_at_once = options.prefix_verifications_at_once = 1'000'000'000;
    AccessCheck check(options, policy_, nullptr, SipHashKey::random());
    const double first = microseconds(check, inputs, 1);
    const double known = microseconds(check, inputs, 20);
    std::printf("%s\"%s\": {\"first\": %.3f, \"known\": %.3f}", is_first_ ? "" : ", ", name, first,
                known);
    is_first_ = false;
  }

  Keys keys_;
  std::shared_ptr<const AccessPolicy> policy_;
  int checks_;
  bool is_first_ = true;
  unsigned reasons_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const int checks = argc > 1 ? std::atoi(argv[1]) : 1000;
  if (checks < 1 || checks > 8000) {
    std::fprintf(stderr, "usage: access_bench [CHECKS, 1 to 8000]\n");
    return 2;
  }
  Bench(checks).run();
  return 0;
}
