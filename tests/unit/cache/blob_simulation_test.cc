// Random lives of blobs from a seed: several fillers at random places, readers that come, advance
// and go, changes of kind, every end. Against a model that knows only which bytes were published.
// What is readable must be right, readers must never lose a byte they still hold, and nothing may
// be left in the arena.
#include "cache/blob.h"

#include <algorithm>

#include "tests/unit/cache/cache_test_support.h"

using namespace nearfield;
using namespace nearfield::cache;
using namespace nearfield::cache::test;

namespace {

constexpr std::uint64_t kWindow = 2 * kBlockBytes;

struct ModelReader {
  BlobReader reader;
  std::uint64_t offset;
  std::uint64_t end = UINT64_MAX;  // where the bytes of one that was cut loose end
};

class Life {
 public:
  Life(std::uint64_t seed, ArenaSource& source)
      : random_(seed),
        total_(1 + random_.below(random_.one_in(3) ? 6000 : 8 * kBlockBytes)),
        known_(!random_.one_in(3)),
        published_(total_ + 1, 0),
        content_(bytes_of(seed, 0, total_)),
        source_(source) {
    const auto kind = random_.one_in(3) ? Blob::Kind::streaming : Blob::Kind::kept;
    blob_ = Blob::create(source, kind, known_ ? std::optional(total_) : std::nullopt, kWindow);
    blob_->set_space_signal(space_);
    for (std::uint64_t filler = 0; filler < 1 + random_.below(3); ++filler) {
      fillers_.push_back(filler == 0 ? 0 : random_.below(total_));
    }
  }

  void run() {
    for (int step = 0; step < 400 && blob_->state() == Blob::State::growing; ++step) {
      switch (random_.below(10)) {
        case 0:
          attach();
          break;
        case 1:
          if (!readers_.empty() && random_.one_in(3)) {
            readers_.erase(readers_.begin() +
                           static_cast<std::ptrdiff_t>(random_.below(readers_.size())));
          }
          break;
        case 2:
        case 3:
        case 4:
          advance_reader();
          break;
        case 5:
          if (random_.one_in(60)) blob_->stop_keeping();
          if (random_.one_in(100)) random_.one_in(2) ? blob_->break_off() : blob_->disband();
          if (random_.one_in(2)) cut_laggards();
          blob_->advance_digest(random_.below(100000));
          break;
        default:
          source_.dry = random_.one_in(20);
          source_.largest_bytes = random_.one_in(4) ? kPageBytes << random_.below(4) : kBlockBytes;
          fill();
          source_.dry = false;
      }
      if (random_.one_in(16)) check();
    }
    check();
    while (!readers_.empty() && random_.below(8) != 0) {
      advance_reader();
    }
    check();
    if (blob_->state() == Blob::State::complete && blob_->kind() == Blob::Kind::kept) {
      while (!blob_->advance_digest(50000)) {
      }
      CHECK_TRUE(read(*blob_, 0, total_) == content_);
    }
  }

 private:
  bool streams() const { return blob_->kind() == Blob::Kind::streaming; }

  void attach() {
    if (readers_.size() >= 6) return;
    const std::uint64_t offset = random_.below(total_ + 1);
    BlobReader reader(blob_, offset);
    if (reader.too_late()) {
      CHECK_TRUE(streams());
      UNSIGNED_LONGS_EQUAL(0, blob_->readable_from(offset));
    } else {
      readers_.push_back({std::move(reader), offset});
    }
  }

  void advance_reader() {
    if (readers_.empty()) return;
    ModelReader& one = readers_[random_.below(readers_.size())];
    const std::uint64_t readable = one.reader.readable_from(one.offset);
    if (readable == 0 && one.reader.too_late()) return;
    if (readable == 0) {
      const auto signal = make_ref<CountingSignal>();
      CHECK_TRUE(blob_->subscribe(one.offset, signal) == (blob_->state() == Blob::State::growing));
      blob_->unsubscribe(*signal);
      return;
    }
    const std::uint64_t piece = 1 + random_.below(readable);
    expect(one.offset, piece);
    one.offset += piece;
    one.reader.release_before(one.offset);
  }

  // Who is cut keeps what it could read; nobody is cut who was not, and at most those who lag.
  void cut_laggards() {
    if (blob_->state() != Blob::State::growing) return;
    const bool held_back = blob_->held_back();
    std::vector<std::uint64_t> before;
    for (const ModelReader& one : readers_) before.push_back(one.reader.readable_from(one.offset));
    std::size_t cut = blob_->cut_laggards();
    if (held_back) CHECK_TRUE(cut < readers_.size());
    for (std::size_t at = 0; at < readers_.size(); ++at) {
      ModelReader& one = readers_[at];
      UNSIGNED_LONGS_EQUAL(before[at], one.reader.readable_from(one.offset));
      if (one.end != UINT64_MAX || !one.reader.too_late()) continue;
      one.end = one.offset + before[at];
      NEARFIELD_ASSERT(cut-- > 0);
    }
    UNSIGNED_LONGS_EQUAL(0, cut);
  }

  void expect(std::uint64_t offset, std::uint64_t length) {
    const auto got = read(*blob_, offset, length);
    CHECK_TRUE(
        std::equal(got.begin(), got.end(), content_.begin() + static_cast<std::ptrdiff_t>(offset)));
  }

  void fill() {
    std::uint64_t& at = fillers_[random_.below(fillers_.size())];
    const auto gap = blob_->first_gap(at);
    if (!gap || gap->begin >= total_) {
      // Nothing from here on: begin again at the first gap, or end.
      const auto first = blob_->first_gap(0);
      if (first && first->begin < total_) {
        at = first->begin;
      } else if (!any_gap() || streams()) {
        blob_->complete();
      }
      return;
    }
    at = gap->begin;
    std::span<std::byte> room = blob_->writable(at);
    room = room.first(std::min<std::uint64_t>(room.size(), total_ - at));
    if (room.empty()) return;
    CHECK_TRUE(!gap->end || at + room.size() <= *gap->end);
    const std::uint64_t count = 1 + random_.below(room.size());
    std::memcpy(room.data(), content_.data() + at, count);
    blob_->publish(at, count);
    CHECK_TRUE(published_from(at) == 0 && gap->begin == at);
    std::fill_n(published_.begin() + static_cast<std::ptrdiff_t>(at), count, 1);
    at += count;
  }

  bool any_gap() const {
    return std::find(published_.begin(), published_.end() - 1, 0) != published_.end() - 1;
  }

  std::uint64_t published_from(std::uint64_t offset) const {
    const auto begin = published_.begin() + static_cast<std::ptrdiff_t>(offset);
    return static_cast<std::uint64_t>(std::find(begin, published_.end() - 1, 0) - begin);
  }

  void check() {
    for (const ModelReader& one : readers_) {
      const std::uint64_t readable = one.reader.readable_from(one.offset);
      if (one.end == UINT64_MAX) {
        UNSIGNED_LONGS_EQUAL(published_from(one.offset), readable);
      } else {
        // Beside the end, a gap may have ended what it can read; it may have been filled since.
        CHECK_TRUE(one.reader.too_late() && readable <= published_from(one.offset));
        if (one.offset < one.end) CHECK_TRUE(readable >= one.end - one.offset);
      }
    }
    const std::uint64_t offset = random_.below(total_);
    const std::uint64_t readable = blob_->readable_from(offset);
    if (!streams() || readable > 0) UNSIGNED_LONGS_EQUAL(published_from(offset), readable);
    if (readable > 0) expect(offset, 1 + random_.below(readable));
    UNSIGNED_LONGS_EQUAL(source_.arena->used_bytes(), blob_->charged_bytes());
  }

  Random random_;
  const std::uint64_t total_;
  const bool known_;
  std::vector<char> published_;
  const std::vector<std::byte> content_;
  ArenaSource& source_;
  Ref<CountingSignal> space_ = make_ref<CountingSignal>();
  Ref<Blob> blob_;
  std::vector<ModelReader> readers_;
  std::vector<std::uint64_t> fillers_;
};

}  // namespace

TEST_GROUP(BlobSimulation){};

TEST(BlobSimulation, RandomLivesMatchTheModel) {
  ArenaSource source(4 << 20);
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    Life(seed, source).run();
    UNSIGNED_LONGS_EQUAL(0, source.arena->used_bytes());
    source.starved.reset();
  }
}
