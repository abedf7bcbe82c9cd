// See catalogue.h.
#include "cache/sim/catalogue.h"

#include <algorithm>
#include <cmath>

#include "cache/sim/random.h"

namespace nearfield::cache::sim {

namespace {

enum Question : std::uint64_t { kLength = 1, kSize, kPlaylistTrack, kAlbumLength, kAlbumTrack };

}  // namespace

ZipfMandelbrot::ZipfMandelbrot(std::uint64_t count, double exponent, double offset)
    : count_(static_cast<double>(count)),
      power_(1.0 - exponent),
      offset_(offset),
      head_(std::pow(offset, power_)),
      span_(head_ - std::pow(count_ + offset, power_)) {}

std::uint64_t ZipfMandelbrot::rank(double quantile) const {
  const double rank = std::pow(head_ - quantile * span_, 1.0 / power_) - offset_;
  return static_cast<std::uint64_t>(std::clamp(rank, 0.0, count_ - 1));
}

Catalogue::Catalogue(std::uint64_t seed)
    : seed_(mix64(seed)),
      tracks_(listening::kTracks, listening::kPopularityExponent, listening::kPopularityOffset),
      playlists_(listening::kPlaylists, listening::kPlaylistExponent, listening::kPlaylistOffset) {}

std::uint64_t Catalogue::bits(std::uint64_t what, std::uint64_t a, std::uint64_t b) const {
  return mix64(mix64(mix64(seed_ + what) ^ a) + b);
}

double Catalogue::normal(std::uint64_t what, std::uint64_t a) const {
  return Random(bits(what, a)).normal();
}

Track Catalogue::playlist_track(std::uint64_t playlist, std::uint64_t position) const {
  return popular(unit_interval(bits(kPlaylistTrack, playlist, position)));
}

std::uint64_t Catalogue::album_tracks(Track lead) const {
  using namespace listening;
  return kLeastAlbumTracks + bits(kAlbumLength, lead) % (kMostAlbumTracks - kLeastAlbumTracks + 1);
}

Track Catalogue::album_track(Track lead, std::uint64_t position) const {
  const std::uint64_t lead_position = bits(kAlbumTrack, lead) % album_tracks(lead);
  if (position == lead_position) return lead;
  // Up to four times less popular a rank than the lead [a].
  const double less = 3.0 * unit_interval(bits(kAlbumTrack, lead, position + 1));
  const double rank =
      static_cast<double>(lead) + less * (static_cast<double>(lead) + listening::kPopularityOffset);
  return std::min(static_cast<Track>(rank), listening::kTracks - 1);
}

double Catalogue::track_seconds(Track track) const {
  using namespace listening;
  const double seconds =
      kTrackSecondsMedian * std::exp(kTrackSecondsSigma * normal(kLength, track));
  return std::clamp(seconds, kLeastTrackSeconds, kMostTrackSeconds);
}

std::uint32_t Catalogue::segments(double track_seconds) {
  return static_cast<std::uint32_t>(std::ceil(track_seconds / listening::kSegmentSeconds));
}

double Catalogue::segment_bytes(Track track, unsigned rendition) const {
  using namespace listening;
  const double spread = std::clamp(1.0 + kTrackSizeSpread * normal(kSize, track), 0.4, 1.6);
  return kRenditions[rendition].segment_bytes * spread;
}

}  // namespace nearfield::cache::sim
