#include "dataplane/control/version.h"

namespace nearfield::control {

std::string_view version_text() { return NEARFIELD_VERSION; }

}  // namespace nearfield::control
