// BodyFeeder: moves the body of one response from its blob into the send plan, as it arrives and as
// the transport asks.
//
// It knows ranges, multipart text, chunked framing and bodies that still grow; it never copies
// content. The awkward part is a body of unknown length, which is framed in chunks as bytes appear
// (RFC 9112 7.1), and one that breaks: the listener must see the break, so no final chunk follows
// and the caller resets the connection. A listener whom a body that is not kept left behind may be
// continued from another blob.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cache/blob.h"
#include "dataplane/http/range.h"
#include "dataplane/net/send_plan.h"

namespace nearfield::proxy {

enum class FeedResult : std::uint8_t {
  plan_full,   // call again when the plan has room
  waiting,     // call again when the signal was raised
  done,        // everything was appended
  broken,      // the rest will never come
  left_behind  // the rest will not come from this blob: continue_with() another, or break
};

enum class Framing : std::uint8_t { by_length, chunked, until_close };

class BodyFeeder {
 public:
  BodyFeeder() = default;

  // The whole body, or one range of it. Without `range` and with an unknown length it runs until
  // the blob is complete. `reader`: a place held at the beginning already, or none.
  void start(Ref<cache::Blob> blob, std::optional<http::ByteRange> range, Framing framing,
             cache::BlobReader reader = {});
  // Several ranges as multipart/byteranges (always by_length).
  void start_multipart(Ref<cache::Blob> blob, const http::RangeSet& ranges,
                       const http::MultipartRanges& text);
  // After FeedResult::left_behind: the same body, from position() on, out of another blob.
  // `reader`: a place held there.
  void continue_with(Ref<cache::Blob> blob, cache::BlobReader reader);
  // Whether it is one walk forward, which can be continued.
  bool can_continue() const { return blob_ && pieces_.empty(); }
  // Nothing at all (HEAD, 304, 204).
  void start_empty();

  FeedResult feed(net::SendPlan& plan, const Ref<Signal>& signal);
  // `outstanding_bytes` of the plan are not yet released: what was read before them may be
  // forgotten.
  void released(std::uint64_t outstanding_bytes);
  bool holds_readers() const { return bool(reader_) || bool(earlier_reader_); }
  void stop(const Ref<Signal>& signal);
  // The places that keep what is in the plan from being forgotten, appended to `readers`: to be
  // held until the plan is released. None for bodies that are whole and kept.
  void take_readers(std::vector<cache::BlobReader>& readers);

  std::uint64_t body_bytes() const {
    return body_bytes_;
  }  // of content appended, framing not counted
  // Where the next byte is read, for asking the fetch to bring it.
  std::uint64_t position() const { return position_; }
  // One past the last byte wanted, where known.
  std::optional<std::uint64_t> end() const { return end_; }

 private:
  struct Piece {
    std::string text_before;
    std::uint64_t begin;
    std::uint64_t end;
  };
  bool next_piece(net::SendPlan& plan);
  std::uint64_t earliest_wanted() const;

  Ref<cache::Blob> blob_;
  cache::BlobReader reader_;
  // After continue_with(): the place in the blob before, until the plan has passed its bytes.
  cache::BlobReader earlier_reader_;
  std::uint64_t earlier_end_ = 0;
  Framing framing_ = Framing::by_length;
  std::uint64_t position_ = 0;
  std::optional<std::uint64_t> end_;
  std::vector<Piece> pieces_;  // of a multipart body, in order
  std::size_t piece_ = 0;
  std::string tail_;
  std::uint64_t body_bytes_ = 0;
  bool finished_ = true;
};

}  // namespace nearfield::proxy
