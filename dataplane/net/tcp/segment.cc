#include "dataplane/net/tcp/segment.h"
