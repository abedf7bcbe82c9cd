// visit_config(): the single list of a configuration's keys, with their types and ranges. See
// config_visitor.h.
#pragma once

#include "dataplane/control/config.h"
#include "dataplane/control/config_visitor.h"

namespace nearfield::control {

void visit_config(ConfigVisitor& visitor, Config& config);
// The part of it under [[origin]] (config_keys_origin.cc).
void visit_origin(ConfigVisitor& visitor, origin::OriginGroup& group);

}  // namespace nearfield::control
