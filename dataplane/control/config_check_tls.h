// What only makes sense together about listening: addresses of both kinds, certificates, https.
// Part of loading a configuration (config.cc).
#pragma once

#include "dataplane/control/config.h"

namespace nearfield::control {

// `complain` gets the key's path and what is wrong with it. Fills in what `config` left to us: the
// key file of a certificate that names none.
void check_listening(Config& config, const ComplainOfKey& complain);

}  // namespace nearfield::control
