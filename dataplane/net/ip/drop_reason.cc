#include "dataplane/net/ip/drop_reason.h"

namespace nearfield::net::ip {

std::string_view name(DropReason reason) {
  switch (reason) {
    case DropReason::kFrameTooShort:
      return "frame_too_short";
    case DropReason::kFrameLength:
      return "frame_length";
    case DropReason::kStackedTags:
      return "stacked_tags";
    case DropReason::kSourceMacIsGroup:
      return "source_mac_is_group";
    case DropReason::kTruncated:
      return "truncated";
    case DropReason::kBadHeader:
      return "bad_header";
    case DropReason::kBadHeaderChecksum:
      return "bad_header_checksum";
    case DropReason::kFragment:
      return "fragment";
    case DropReason::kMartianSource:
      return "martian_source";
    case DropReason::kMartianDestination:
      return "martian_destination";
    case DropReason::kSourceRoute:
      return "source_route";
    case DropReason::kTooManyExtensions:
      return "too_many_extensions";
    case DropReason::kUnknownOption:
      return "unknown_option";
    case DropReason::kNoNextHeader:
      return "no_next_header";
  }
  return "unknown";
}

}  // namespace nearfield::net::ip
