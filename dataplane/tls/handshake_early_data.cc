#include "dataplane/tls/handshake_early_data.h"

#include <vector>

#include "dataplane/tls/aead.h"
#include "dataplane/tls/key_schedule.h"
#include "dataplane/tls/record.h"
#include "dataplane/tls/record_sealer.h"

namespace nearfield::tls {

struct EarlyDataFilter::Keys {
  // Asked for once: it looks at the processor.
  const AeadEngine& engine = AeadEngine::choose(nullptr);
  Aead aead{};
  TrafficKeys traffic;
  ExpandedKey expanded;
};

EarlyDataFilter::EarlyDataFilter() = default;
EarlyDataFilter::~EarlyDataFilter() = default;

void EarlyDataFilter::expect() { expecting_ = true; }

void EarlyDataFilter::use_secret(Aead aead, Hash hash, std::span<const std::byte> secret) {
  if (!expecting_) return;
  keys_ = std::make_unique<Keys>();
  keys_->aead = aead;
  keys_->traffic = traffic_keys(aead, hash, secret);
  keys_->engine.expand(aead, std::span(keys_->traffic.key).first(key_bytes(aead)), keys_->expanded);
}

EarlyDataFilter::Verdict EarlyDataFilter::judge(std::span<const std::byte> record) {
  if (!expecting_) return Verdict::pass;
  const auto type = static_cast<ContentType>(record[0]);
  if (type == ContentType::handshake) {
    expecting_ = !hello_passed_;  // the second hello, or something for the library to refuse
    hello_passed_ = true;
  }
  if (type != ContentType::application_data) return Verdict::pass;
  if (keys_ != nullptr && opens(record)) {
    expecting_ = false;
    keys_.reset();
    return Verdict::pass;
  }
  dropped_bytes_ += record.size();
  return exceeded() ? Verdict::too_much : Verdict::drop;
}

bool EarlyDataFilter::opens(std::span<const std::byte> record) const {
  const auto header = record.first(kRecordHeaderBytes);
  const auto body = record.subspan(kRecordHeaderBytes);
  if (body.size() <= kTagBytes) return false;  // not even a content type
  std::vector<std::byte> content(body.size() - kTagBytes);
  const bool opened = keys_->engine.open(
      keys_->aead, keys_->expanded,
      record_nonce(Version::tls13, keys_->aead, keys_->traffic.iv, keys_->traffic.next_sequence),
      header, body.first(content.size()), body.data() + content.size(), content.data());
  wipe(content);
  return opened;
}

}  // namespace nearfield::tls
