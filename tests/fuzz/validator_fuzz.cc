// Dates, entity tags and the conditions made of them. What must hold: a date that reads can be
// written and read again, a tag from a list is a tag by itself, and a condition on a response's own
// validators is met.
#include <string>

#include "dataplane/http/conditional.h"
#include "dataplane/http/date.h"
#include "dataplane/http/forward.h"
#include "tests/fuzz/fuzz_support.h"

using namespace nearfield;
using namespace nearfield::http;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr WallTime kNow{std::chrono::seconds(1'750'000'000)};
  const std::string_view value = fuzz::text_of(data, size);

  if (const auto date = parse_http_date(value, kNow)) {
    const auto again = parse_http_date(format_http_date(*date), kNow);
    // Only the last second of the year 9999 with a leap second has no form of its own.
    FUZZ_CHECK(again && (*again == *date || date->time_since_epoch().count() == 253402300800));
  }

  Fields stored;
  stored.add("ETag", value);
  EntityTagList list(*stored.find("ETag"));
  std::size_t count = 0;
  while (const auto tag = list.next()) {
    ++count;
    const std::string text = (tag->weak ? "W/\"" : "\"") + std::string(tag->opaque) + "\"";
    const auto alone = parse_entity_tag(text);
    FUZZ_CHECK(alone && alone->weak == tag->weak && alone->opaque == tag->opaque);
    FUZZ_CHECK(weak_equal(*alone, *tag));
  }
  FUZZ_CHECK(count <= size / 2);

  const Validators validators = Validators::of(stored, kNow);
  Fields request;
  if (add_validators(request, stored)) {
    const Precondition result = evaluate_preconditions(request, validators, kNow);
    // Two or more tags in one ETag are no tag, and a list when they come back.
    if (validators.tag || count == 0) FUZZ_CHECK(result == Precondition::kNotModified);
  }
  Fields range_request;
  if (add_range(range_request, 1, std::nullopt, stored, kNow)) {
    FUZZ_CHECK(if_range_holds(range_request, validators, kNow));
  }
  return 0;
}
