// Methods and what is safe to do with them.
#include "dataplane/http/method.h"

#include "tests/unit/dataplane/http/http_test_support.h"

using namespace nearfield::http;

TEST_GROUP(Method){};

TEST(Method, NamesAreCaseSensitiveAndGoBothWays) {
  for (std::string_view name :
       {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}) {
    TEXT_EQUAL(name, method_text(method_from(name)));
  }
  CHECK(method_from("get") == Method::kOther);
  CHECK(method_from("M-SEARCH") == Method::kOther);
  TEXT_EQUAL("", method_text(Method::kOther));
}

TEST(Method, UnknownMethodsAreUnsafe) {
  CHECK(is_safe(Method::kGet) && is_safe(Method::kOptions));
  CHECK_FALSE(is_safe(Method::kOther));
  CHECK_FALSE(is_safe(Method::kDelete));
  CHECK(is_idempotent(Method::kDelete));
  CHECK_FALSE(is_idempotent(Method::kPost));
  CHECK_FALSE(is_idempotent(Method::kOther));
}
