// Configuration: whatever the file holds, it is read or refused with reasons, within bounds; what
// was accepted can be shown as JSON, and what must be restarted to change it is not asked for when
// nothing changed.
#include "dataplane/control/config.h"
#include "dataplane/control/config_json.h"
#include "tests/fuzz/fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nearfield::control;
  if (size > kMaximumConfigBytes) return 0;
  const auto config = parse_config(nearfield::fuzz::text_of(data, size), "fuzz.toml");
  if (!config) {
    FUZZ_CHECK(!config.error().errors.empty());
    FUZZ_CHECK(config.error().errors.size() <= ConfigErrors::kMaximumErrors);
    for (const ConfigError& error : config.error().errors) FUZZ_CHECK(!error.reason.empty());
    FUZZ_CHECK(!config.error().text().empty());
    return 0;
  }
  FUZZ_CHECK(!config->listen.empty() || !config->tls.listen.empty());
  FUZZ_CHECK(!config->origins.empty());
  FUZZ_CHECK(config->tls.listen.empty() == config->tls.certificates.empty());
  FUZZ_CHECK(config_json(*config).starts_with('{'));
  FUZZ_CHECK(needs_restart(*config, *config).empty());
  return 0;
}
