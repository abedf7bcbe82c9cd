// Catalogue: the tracks of the generated week, made up on the spot: everything about a track
// follows from its number and the seed, so that 202 million of them need no memory.
#pragma once

#include <cstdint>

#include "cache/sim/listening_model.h"

namespace nearfield::cache::sim {

// Ranks 0 to count - 1 with probability proportional to (rank + offset)^-exponent; exponent above
// 1, offset above 0.
class ZipfMandelbrot {
 public:
  ZipfMandelbrot(std::uint64_t count, double exponent, double offset);
  // The rank at `quantile` in [0, 1): the inverse of the continuous distribution.
  std::uint64_t rank(double quantile) const;

 private:
  double count_;
  double power_;  // 1 - exponent
  double offset_;
  double head_;  // offset^power
  double span_;
};

// A track's number is its rank in popularity; those of the release come after the catalogue.
using Track = std::uint64_t;

class Catalogue {
 public:
  explicit Catalogue(std::uint64_t seed);

  Track popular(double quantile) const { return tracks_.rank(quantile); }
  std::uint64_t playlist(double quantile) const { return playlists_.rank(quantile); }
  Track playlist_track(std::uint64_t playlist, std::uint64_t position) const;

  // The album around a track: the track itself at one position, at the others tracks that are
  // played less.
  std::uint64_t album_tracks(Track lead) const;
  Track album_track(Track lead, std::uint64_t position) const;
  Track release_track(std::uint64_t position) const { return listening::kTracks + position; }

  double track_seconds(Track track) const;
  static std::uint32_t segments(double track_seconds);
  // Bytes of a whole segment of this track in this rendition, on average over the track.
  double segment_bytes(Track track, unsigned rendition) const;

  // An object of a trace, and back.
  static std::uint64_t object(Track track, unsigned rendition, std::uint32_t segment) {
    return (track * listening::kRenditions.size() + rendition) << 12 | segment;
  }
  static Track track_of(std::uint64_t object) {
    return (object >> 12) / listening::kRenditions.size();
  }
  static unsigned rendition_of(std::uint64_t object) {
    return static_cast<unsigned>((object >> 12) % listening::kRenditions.size());
  }
  static std::uint32_t segment_of(std::uint64_t object) { return object & 0xfff; }

 private:
  // Independent bits about a thing: `what` keeps different questions apart.
  std::uint64_t bits(std::uint64_t what, std::uint64_t a, std::uint64_t b = 0) const;
  double normal(std::uint64_t what, std::uint64_t a) const;

  std::uint64_t seed_;
  ZipfMandelbrot tracks_;
  ZipfMandelbrot playlists_;
};

}  // namespace nearfield::cache::sim
