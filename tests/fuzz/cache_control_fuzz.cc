// Directive lists as anybody may write them. What must hold: numbers stay in range, letter case
// never matters, a restriction on a further line is never lost, and a targeted field that does not
// parse changes nothing.
#include <string>

#include "dataplane/http/cache_control.h"
#include "dataplane/http/structured_dictionary.h"
#include "tests/fuzz/fuzz_support.h"

using namespace nearfield::http;

namespace {

void check_range(const std::optional<std::chrono::seconds>& seconds) {
  if (seconds) FUZZ_CHECK(seconds->count() >= 0 && *seconds <= kMaxSeconds);
}

void check_ranges(const CacheDirectives& directives) {
  check_range(directives.max_age);
  check_range(directives.s_maxage);
  check_range(directives.stale_while_revalidate);
  check_range(directives.stale_if_error);
  check_range(directives.min_fresh);
  check_range(directives.max_stale);
}

bool same(const CacheDirectives& a, const CacheDirectives& b) {
  return a.present == b.present && a.no_store == b.no_store && a.no_cache == b.no_cache &&
         a.is_public == b.is_public && a.is_private == b.is_private &&
         a.must_revalidate == b.must_revalidate && a.proxy_revalidate == b.proxy_revalidate &&
         a.must_understand == b.must_understand && a.immutable == b.immutable &&
         a.only_if_cached == b.only_if_cached && a.max_stale_any == b.max_stale_any &&
         a.max_age == b.max_age && a.s_maxage == b.s_maxage &&
         a.stale_while_revalidate == b.stale_while_revalidate &&
         a.stale_if_error == b.stale_if_error && a.min_fresh == b.min_fresh &&
         a.max_stale == b.max_stale && a.no_cache_fields == b.no_cache_fields &&
         a.private_fields == b.private_fields;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string value(nearfield::fuzz::text_of(data, size));

  CacheDirectives plain;
  parse_cache_control(value, plain);
  check_ranges(plain);

  std::string lower;
  append_lower(lower, value);
  CacheDirectives lowered;
  parse_cache_control(lower, lowered);
  FUZZ_CHECK(same(plain, lowered));

  Fields fields;
  fields.add("Cache-Control", value);
  fields.add("Cache-Control", "no-store, private");
  const CacheDirectives restricted = parse_response_directives(fields);
  FUZZ_CHECK(restricted.no_store && restricted.is_private);

  CacheDirectives targeted;
  const bool parsed = parse_targeted_cache_control(value, targeted);
  check_ranges(targeted);
  FUZZ_CHECK(parsed == targeted.present && parsed == targeted.targeted);
  const auto dictionary = parse_dictionary(value);
  FUZZ_CHECK(parsed == (dictionary && !dictionary->empty()));

  fields.add("CDN-Cache-Control", value);
  const CacheDirectives chosen = parse_response_directives(fields);
  if (!chosen.targeted) FUZZ_CHECK(chosen.no_store && chosen.is_private);
  return 0;
}
