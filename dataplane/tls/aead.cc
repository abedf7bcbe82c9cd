// The choice of the engine. The engines themselves: ipsec_mb_aead.cc, mbedtls_aead.cc.
#include "dataplane/tls/aead.h"

namespace nearfield::tls {

namespace {

std::string missing_features(const ProcessorFeatures& features) {
  std::string missing;
  const auto add = [&missing](bool present, std::string_view name) {
    if (present) return;
    if (!missing.empty()) missing += ", ";
    missing += name;
  };
  add(features.aes, "AES-NI");
  add(features.carryless_multiply, "PCLMULQDQ");
  add(features.sse42, "SSE4.2");
  return missing;
}

}  // namespace

ProcessorFeatures ProcessorFeatures::detect() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return {.aes = __builtin_cpu_supports("aes") != 0,
          .carryless_multiply = __builtin_cpu_supports("pclmul") != 0,
          .sse42 = __builtin_cpu_supports("sse4.2") != 0};
#else
  return {};
#endif
}

const AeadEngine& AeadEngine::choose(std::string* warning) {
  return choose(ProcessorFeatures::detect(), warning);
}

const AeadEngine& AeadEngine::choose(const ProcessorFeatures& features, std::string* warning) {
  std::string reason;
  if (!features.all()) {
    reason = "this processor lacks " + missing_features(features);
  } else if (const AeadEngine* engine = ipsec_mb(); engine != nullptr) {
    return *engine;
  } else {
    reason = "intel-ipsec-mb could not be started or failed its self-test";
  }
  if (warning != nullptr) {
    // Measured with AES-128-GCM and 16 KiB records on a core of 2023, where ipsec-mb makes 16 GB/s.
    const bool has_instructions = features.aes && features.carryless_multiply;
    *warning = reason + ": TLS records are encrypted by mbedTLS, at best " +
               (has_instructions ? "300" : "100") +
               " megabytes a second and core instead of gigabytes; choose another machine";
  }
  return mbedtls();
}

}  // namespace nearfield::tls
