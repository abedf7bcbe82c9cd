// Secondary keys (RFC 9111 4.1): a stored response with Vary is reusable only for requests whose
// nominated fields say the same. Comparison is of normalised values: fields of one name combined,
// whitespace around list commas dropped, and for Accept-Encoding, Accept-Language, Accept and
// Accept-Charset the case and the order of equal weights, which those fields' definitions make
// meaningless.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "dataplane/http/fields.h"

namespace nearfield::http {

// What the response varies by: field names in lower case, sorted, without repeats, joined by ',';
// "" without Vary; nullopt when any member is '*' (or not a token), or there are more than 32: such
// a response is never reused.
std::optional<std::string> vary_names(const Fields& response);

// The secondary key of a request under these names. Equal keys under equal names mean a match. An
// absent field differs from an empty one. Linear in the request's size.
void append_vary_key(std::string& out, std::string_view names, const Fields& request);

// Whether a stored variant answers this request: the same as comparing two keys, and besides, when
// nothing but Accept-Language differs, whether the stored response's one Content-Language is the
// language the request likes best (RFC 9111 4.1 allows this knowledge of negotiation).
// `content_language` is the stored response's field, "" without one.
bool vary_matches(std::string_view names, std::string_view stored_key, const Fields& request,
                  std::string_view content_language = {});

}  // namespace nearfield::http
