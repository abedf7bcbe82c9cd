// See body_feeder.h.
#include "dataplane/proxy/body_feeder.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <utility>

namespace nearfield::proxy {

namespace {

// A chunk needs its size, its content and its end: three pieces; the last chunk one more.
constexpr std::size_t kPiecesPerStep = 4;

void append_chunk_size(net::SendPlan& plan, std::uint64_t bytes) {
  std::array<char, 24> text;
  char* end = std::to_chars(text.data(), text.data() + 16, bytes, 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  plan.append_text({text.data(), static_cast<std::size_t>(end - text.data())});
}

}  // namespace

void BodyFeeder::start(Ref<cache::Blob> blob, std::optional<http::ByteRange> range, Framing framing,
                       cache::BlobReader reader) {
  framing_ = framing;
  position_ = range ? range->first : 0;
  end_ = range ? std::optional<std::uint64_t>(range->last + 1) : blob->total_bytes();
  if (reader && reader.offset() <= position_) {
    reader_ = std::move(reader);
    reader_.release_before(position_);
  } else if (blob->kind() == cache::Blob::Kind::streaming ||
             blob->state() == cache::Blob::State::growing) {
    reader_ = cache::BlobReader(blob, position_);
  }
  blob_ = std::move(blob);
  earlier_reader_.detach();
  pieces_.clear();
  piece_ = 0;
  tail_.clear();
  body_bytes_ = 0;
  finished_ = false;
}

void BodyFeeder::continue_with(Ref<cache::Blob> blob, cache::BlobReader reader) {
  earlier_reader_ = std::move(reader_);
  earlier_end_ = position_;
  reader_ = std::move(reader);
  blob_ = std::move(blob);
}

void BodyFeeder::start_multipart(Ref<cache::Blob> blob, const http::RangeSet& ranges,
                                 const http::MultipartRanges& text) {
  start(std::move(blob), std::nullopt, Framing::by_length);
  for (const http::ByteRange& range : ranges.view()) {
    Piece piece{{}, range.first, range.last + 1};
    text.append_part_head(piece.text_before, range);
    pieces_.push_back(std::move(piece));
  }
  text.append_end(tail_);
  position_ = 0;
  end_ = 0;  // the first piece is taken by feed()
}

void BodyFeeder::start_empty() {
  blob_.reset();
  pieces_.clear();
  tail_.clear();
  body_bytes_ = 0;
  finished_ = true;
}

bool BodyFeeder::next_piece(net::SendPlan& plan) {
  if (piece_ == pieces_.size()) return false;
  const Piece& piece = pieces_[piece_++];
  plan.append_text(piece.text_before);
  position_ = piece.begin;
  end_ = piece.end;
  return true;
}

FeedResult BodyFeeder::feed(net::SendPlan& plan, const Ref<Signal>& signal) {
  while (!finished_) {
    if (plan.room() < kPiecesPerStep) return FeedResult::plan_full;
    // The state first: bytes published before it ended are then certainly seen.
    const cache::Blob::State state = blob_->state();
    std::uint64_t ready =
        reader_ ? reader_.readable_from(position_) : blob_->readable_from(position_);
    if (end_) ready = std::min(ready, *end_ - position_);
    if (ready > 0) {
      if (framing_ == Framing::chunked) append_chunk_size(plan, ready);
      plan.append_blob(blob_, position_, ready);
      if (framing_ == Framing::chunked) plan.append_text("\r\n");
      position_ += ready;
      body_bytes_ += ready;
      continue;
    }
    const bool at_end =
        end_ ? position_ == *end_
             : state == cache::Blob::State::complete && position_ == blob_->total_bytes();
    if (at_end) {
      if (next_piece(plan)) continue;
      if (!tail_.empty()) plan.append_text(tail_);
      if (framing_ == Framing::chunked) plan.append_text("0\r\n\r\n");
      finished_ = true;
      break;
    }
    if (reader_.too_late()) return FeedResult::left_behind;
    // A body that streams cannot go back to what an earlier part of the listener's wants.
    if (earliest_wanted() < position_ && blob_->kind() == cache::Blob::Kind::streaming)
      return FeedResult::left_behind;
    // Complete and yet short cannot be (a length that did not hold breaks the blob): both are the
    // end of hope.
    if (state != cache::Blob::State::growing) return FeedResult::broken;
    const bool subscribed =
        reader_ ? reader_.subscribe(position_, signal) : blob_->subscribe(position_, signal);
    if (subscribed) return FeedResult::waiting;
  }
  return FeedResult::done;
}

void BodyFeeder::released(std::uint64_t outstanding_bytes) {
  if (!reader_) return;
  if (!pieces_.empty()) {
    // Several parts can go back, and what is outstanding may be of any of them.
    if (outstanding_bytes == 0) reader_.release_before(earliest_wanted());
    return;
  }
  if (position_ <= outstanding_bytes) return;
  const std::uint64_t released = position_ - outstanding_bytes;
  reader_.release_before(released);
  if (!earlier_reader_) return;
  if (released < earlier_end_)
    earlier_reader_.release_before(released);
  else
    earlier_reader_.detach();
}

std::uint64_t BodyFeeder::earliest_wanted() const {
  std::uint64_t earliest = position_;
  for (std::size_t piece = piece_; piece < pieces_.size(); ++piece)
    earliest = std::min(earliest, pieces_[piece].begin);
  return earliest;
}

void BodyFeeder::take_readers(std::vector<cache::BlobReader>& readers) {
  // Also of a kept body that still grows: it may turn into one that forgets before the plan is
  // sent.
  const bool forgets_nothing = blob_ && blob_->kind() == cache::Blob::Kind::kept &&
                               blob_->state() == cache::Blob::State::complete;
  if (reader_ && !forgets_nothing) {
    if (pieces_.empty()) reader_.end_at(position_);
    readers.push_back(std::move(reader_));
  }
  if (earlier_reader_) readers.push_back(std::move(earlier_reader_));
}

void BodyFeeder::stop(const Ref<Signal>& signal) {
  if (blob_ && signal) blob_->unsubscribe(*signal);
  reader_.detach();
  earlier_reader_.detach();
  blob_.reset();
  pieces_.clear();
  tail_.clear();
  finished_ = true;
}

}  // namespace nearfield::proxy
