// Request methods, as far as this cache treats them differently (RFC 9110 9.2). Everything else
// that the parser knows is `other`: forwarded under its own text, never cached, treated as unsafe.
#pragma once

#include <cstdint>
#include <string_view>

namespace nearfield::http {

enum class Method : std::uint8_t {
  kGet,
  kHead,
  kPost,
  kPut,
  kDelete,
  kConnect,
  kOptions,
  kTrace,
  kPatch,
  kOther
};

// Methods are case-sensitive (RFC 9110 9.1).
Method method_from(std::string_view text);
// The text of a known method; "" for kOther.
std::string_view method_text(Method method);

// GET, HEAD, OPTIONS, TRACE. Only the response to an unsafe method invalidates.
constexpr bool is_safe(Method method) {
  return method == Method::kGet || method == Method::kHead || method == Method::kOptions ||
         method == Method::kTrace;
}
// Safe, PUT and DELETE: may be sent again on a connection that broke before an answer (RFC
// 9110 9.2.2).
constexpr bool is_idempotent(Method method) {
  return is_safe(method) || method == Method::kPut || method == Method::kDelete;
}

}  // namespace nearfield::http
