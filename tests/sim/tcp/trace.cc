// Packets as lines; see trace.h.
#include "tests/sim/tcp/trace.h"

#include <cinttypes>
#include <cstdio>
#include <utility>

namespace nearfield::sim::tcp {
namespace {

std::string flags_of(const Segment& segment) {
  constexpr std::pair<std::uint8_t, char> kLetters[] = {{kSyn, 'S'}, {kFin, 'F'}, {kRst, 'R'},
                                                        {kPsh, 'P'}, {kUrg, 'U'}, {kEce, 'E'},
                                                        {kCwr, 'W'}, {kAck, '.'}};
  std::string letters;
  for (const auto& [flag, letter] : kLetters)
    if (segment.has(flag)) letters += letter;
  return letters;
}

template <typename... Arguments>
void append(std::string& to, const char* format, Arguments... arguments) {
  char text[160];
  std::snprintf(text, sizeof text, format, arguments...);
  to += text;
}

}  // namespace

void Trace::bound() {
  while (lines_.size() > most_lines_) lines_.pop_front();
}

void Trace::add(MonotonicTime at, const char* where, bool from_server, const Segment& segment) {
  lines_.push_back({at, where, from_server, segment, segment.payload.size(), {}});
  lines_.back().segment.payload = {};
  bound();
}

void Trace::add(MonotonicTime at, const char* where, std::string note) {
  lines_.push_back({at, where, false, {}, 0, std::move(note)});
  bound();
}

std::string Trace::print(MonotonicTime start, std::uint32_t client_initial,
                         std::uint32_t server_initial) const {
  std::string text;
  for (const Line& line : lines_) {
    const double seconds = static_cast<double>((line.at - start).count()) / 1e9;
    append(text, "    %11.6f %-12s ", seconds, line.where);
    if (!line.note.empty()) {
      text += line.note + '\n';
      continue;
    }
    const Segment& segment = line.segment;
    const std::uint32_t own = (line.from_server ? server_initial : client_initial) + 1;
    const std::uint32_t other = (line.from_server ? client_initial : server_initial) + 1;
    const std::uint32_t begin = segment.sequence - own;
    append(text, "%s [%s] %d", line.from_server ? "S>C" : "C>S", flags_of(segment).c_str(),
           static_cast<std::int32_t>(begin));
    if (line.payload_bytes > 0)
      append(text, ":%d (%zu)", static_cast<std::int32_t>(begin + line.payload_bytes),
             line.payload_bytes);
    if (segment.has(kAck))
      append(text, " ack %d", static_cast<std::int32_t>(segment.acknowledgment - other));
    append(text, " win %u", segment.window);
    if (segment.maximum_segment_bytes) append(text, " mss %u", *segment.maximum_segment_bytes);
    if (segment.window_scale) append(text, " wscale %u", *segment.window_scale);
    if (segment.sack_permitted) text += " sackOK";
    if (segment.timestamps)
      append(text, " ts %" PRIu32 "/%" PRIu32, segment.timestamps->value, segment.timestamps->echo);
    for (std::size_t index = 0; index < segment.sack_block_count; ++index)
      append(text, " sack %d-%d",
             static_cast<std::int32_t>(segment.sack_blocks[index].begin - other),
             static_cast<std::int32_t>(segment.sack_blocks[index].end - other));
    if (segment.ecn == Ecn::experienced) text += " CE";
    text += '\n';
  }
  return text;
}

}  // namespace nearfield::sim::tcp
