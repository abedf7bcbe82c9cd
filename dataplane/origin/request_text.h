// What goes on the wire for one call: request line, Host as the group maps it, the caller's fields
// without those that belong to the connection, and the framing of the body. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "dataplane/origin/client.h"
#include "dataplane/origin/config.h"

namespace nearfield::origin {

// `path_and_query` as the server knows it. Always begins with '/' (or is "*").
std::string mapped_path(const PathMapping& mapping, std::string_view path_and_query);

// The Host sent: the group's, else the listener's, else the server's own.
std::string mapped_host(const OriginGroup& group, const OriginServer& server,
                        std::string_view authority);

// Empty when the request can be written without breaking out of its line; else what is wrong with
// it. Parsed requests are always fine; this is the last door before the origin.
std::string_view request_fault(const OriginRequest& request);

// The head with its final empty line. Content-Length is there when there is a body or the method is
// one that has a meaning for one (RFC 9110 8.6): POST, PUT, PATCH.
std::string request_head_text(const OriginRequest& request, const OriginGroup& group,
                              const OriginServer& server);

}  // namespace nearfield::origin
