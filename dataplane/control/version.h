// The version of this build, from the project() line of CMakeLists.txt.
#pragma once

#include <string_view>

namespace nearfield::control {

std::string_view version_text();

}  // namespace nearfield::control
