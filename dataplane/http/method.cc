#include "dataplane/http/method.h"

#include <array>
#include <utility>

namespace nearfield::http {
namespace {

constexpr std::array<std::pair<std::string_view, Method>, 9> kMethods{{
    {"GET", Method::kGet},
    {"HEAD", Method::kHead},
    {"POST", Method::kPost},
    {"PUT", Method::kPut},
    {"DELETE", Method::kDelete},
    {"CONNECT", Method::kConnect},
    {"OPTIONS", Method::kOptions},
    {"TRACE", Method::kTrace},
    {"PATCH", Method::kPatch},
}};

}  // namespace

Method method_from(std::string_view text) {
  for (const auto& [name, method] : kMethods) {
    if (name == text) return method;
  }
  return Method::kOther;
}

std::string_view method_text(Method method) {
  for (const auto& [name, known] : kMethods) {
    if (known == method) return name;
  }
  return "";
}

}  // namespace nearfield::http
