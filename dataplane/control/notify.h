// Tells the service manager what this process is about, as systemd's Type=notify wants it: one
// datagram to the socket in NOTIFY_SOCKET. Does nothing without one. (No libsystemd: the protocol
// is a line of text, and the appliance's image stays smaller.)
#pragma once

#include <string_view>

namespace nearfield::control {

// "READY=1", "STOPPING=1", "RELOADING=1\nMONOTONIC_USEC=...", lines joined by newlines. Main
// thread, before or between events; never blocks.
void notify_service_manager(std::string_view state);

}  // namespace nearfield::control
