// Files with secrets: who else can read them.
#pragma once

#include <string>
#include <string_view>

namespace nearfield::tls {

// A warning when everyone on the machine may read or write `file`, which is `what` ("private key"):
// "the private key /etc/key.pem can be read or written by everyone: chmod o-rw it". Empty: fine, or
// there is no such file, of which others tell.
std::string exposure_warning(std::string_view what, const std::string& file);

}  // namespace nearfield::tls
