// One access record as one line of JSON; docs/operations.md lists the members.
#pragma once

#include <string>

#include "dataplane/proxy/access_record.h"

namespace nearfield::control {

// Appends the line and its newline.
void append_access_line(std::string& out, const proxy::AccessRecord& record);

}  // namespace nearfield::control
