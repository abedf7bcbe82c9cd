// Catalogue: popularity has the shape it was asked for, and a track is the same whoever asks.
#include "cache/sim/catalogue.h"

#include <cmath>

#include "tests/unit/cache/sim/sim_test_support.h"

using namespace nearfield::cache::sim;

TEST_GROUP(Catalogue){};

TEST(Catalogue, draws_ranks_by_zipf_mandelbrot) {
  const ZipfMandelbrot ranks(1000, 1.5, 10);
  double whole = 0;
  double top = 0;
  for (int rank = 0; rank < 1000; ++rank) {
    const double weight =
        std::pow(rank + 10.5, -1.5);  // continuous: a rank stands for [rank, rank + 1)
    whole += weight;
    if (rank < 20) top += weight;
  }
  int drawn = 0;
  for (int i = 0; i < 100'000; ++i) drawn += ranks.rank((i + 0.5) / 100'000) < 20;
  DOUBLES_EQUAL(top / whole, drawn / 100'000.0, 0.005);
  UNSIGNED_LONGLONGS_EQUAL(0, ranks.rank(0));
  UNSIGNED_LONGLONGS_EQUAL(999, ranks.rank(0.9999999999));
}

TEST(Catalogue, makes_the_same_tracks_from_the_same_seed) {
  const Catalogue one(5);
  const Catalogue same(5);
  const Catalogue other(6);
  DOUBLES_EQUAL(one.track_seconds(77), same.track_seconds(77), 0);
  DOUBLES_EQUAL(one.segment_bytes(77, 2), same.segment_bytes(77, 2), 0);
  UNSIGNED_LONGLONGS_EQUAL(one.album_track(77, 3), same.album_track(77, 3));
  UNSIGNED_LONGLONGS_EQUAL(one.playlist_track(4, 3), same.playlist_track(4, 3));
  CHECK_TRUE(one.track_seconds(77) != other.track_seconds(77));
}

TEST(Catalogue, puts_an_albums_lead_into_it_once) {
  const Catalogue catalogue(1);
  for (Track lead : {Track{0}, Track{5}, Track{12345}, listening::kTracks - 1}) {
    int found = 0;
    for (std::uint64_t i = 0; i < catalogue.album_tracks(lead); ++i) {
      const Track track = catalogue.album_track(lead, i);
      CHECK_TRUE(track < listening::kTracks);
      found += track == lead;
    }
    CHECK_TRUE(found >= 1);
  }
}

TEST(Catalogue, names_objects_without_collision_and_back) {
  const std::uint64_t object = Catalogue::object(listening::kTracks + 11, 3, 119);
  UNSIGNED_LONGLONGS_EQUAL(listening::kTracks + 11, Catalogue::track_of(object));
  UNSIGNED_LONGS_EQUAL(3, Catalogue::rendition_of(object));
  UNSIGNED_LONGS_EQUAL(119, Catalogue::segment_of(object));
  CHECK_TRUE(Catalogue::segments(listening::kMostTrackSeconds) <= 4096);
}
