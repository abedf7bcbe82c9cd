#include "dataplane/tls/ticket_keys.h"

#include <mbedtls/gcm.h>

#include <algorithm>
#include <cstring>
#include <format>

#include "cache/base/assert.h"
#include "dataplane/tls/library.h"
#include "dataplane/tls/secret_file.h"
#include "dataplane/tls/secrets.h"

namespace nearfield::tls {
namespace {

constexpr std::size_t kTicketNonceBytes = 12;
constexpr std::size_t kTicketTagBytes = 16;
static_assert(TicketKeys::kRotation * static_cast<int>(TicketKeys::kKept) >=
              TicketKeys::kLifetime + TicketKeys::kRotation);

// Sets up one key; frees and wipes it when it goes.
class Gcm {
 public:
  explicit Gcm(std::span<const std::byte, TicketKeys::kKeyBytes> key) {
    mbedtls_gcm_init(&context_);
    // Fails only without memory for the key schedule.
    NEARFIELD_ASSERT(mbedtls_gcm_setkey(&context_, MBEDTLS_CIPHER_ID_AES, as_chars(key.data()),
                                        TicketKeys::kKeyBytes * 8) == 0);
  }
  Gcm(const Gcm&) = delete;
  Gcm& operator=(const Gcm&) = delete;
  ~Gcm() { mbedtls_gcm_free(&context_); }
  mbedtls_gcm_context* get() { return &context_; }

 private:
  mbedtls_gcm_context context_;
};

}  // namespace

TicketKeys::TicketKeys(std::string file, RandomSource random)
    : file_(std::move(file)), random_(std::move(random)) {}

TicketKeys::~TicketKeys() { wipe_entries(entries_); }

void TicketKeys::wipe_entries(std::vector<Entry>& entries) {
  for (Entry& entry : entries) wipe(entry.key);
  entries.clear();
}

std::shared_ptr<TicketKeys> TicketKeys::make(WallTime now, RandomSource random) {
  std::shared_ptr<TicketKeys> keys(new TicketKeys({}, std::move(random)));
  keys->entries_.reserve(kKept + 1);  // never moved in memory: no copies are left behind
  keys->entries_.push_back(keys->fresh(now));
  return keys;
}

Result<std::shared_ptr<TicketKeys>> TicketKeys::load(const std::string& file,
                                                     std::vector<std::string>& warnings) {
  std::shared_ptr<TicketKeys> keys(new TicketKeys(file, system_random));
  Result<std::vector<Entry>> entries = read(file);
  if (!entries) return std::unexpected(entries.error());
  keys->entries_ = *std::move(entries);
  if (std::string exposed = exposure_warning("file of ticket keys", file); !exposed.empty())
    warnings.push_back(std::move(exposed));
  return keys;
}

Result<std::vector<TicketKeys::Entry>> TicketKeys::read(const std::string& file) {
  Result<std::string> content = read_small_file(file, kMaximumKeys * kEntryBytes);
  if (!content) return std::unexpected(content.error());
  const auto all = std::as_writable_bytes(std::span(content->data(), content->size()));
  const std::span<const std::byte> bytes = all.first(all.size() - 1);
  if (bytes.empty() || bytes.size() % kEntryBytes != 0) {
    const std::size_t size = bytes.size();
    wipe(all);
    return failure(std::format(
        "the ticket keys {} have {} bytes: they must be 1 to {} entries of {} bytes, 16 of name "
        "and 32 of key each (make the first with: head -c {} /dev/urandom)",
        file, size, kMaximumKeys, kEntryBytes, kEntryBytes));
  }
  std::vector<Entry> entries(bytes.size() / kEntryBytes);
  bool same_name = false;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::span<const std::byte> entry = bytes.subspan(i * kEntryBytes, kEntryBytes);
    std::ranges::copy(entry.first(kNameBytes), entries[i].name.begin());
    std::ranges::copy(entry.subspan(kNameBytes), entries[i].key.begin());
    for (std::size_t j = 0; j < i; ++j) same_name |= entries[j].name == entries[i].name;
  }
  wipe(all);
  if (same_name) {
    wipe_entries(entries);
    return failure(std::format(
        "the ticket keys {} have two keys of one name: give every key a name of its own", file));
  }
  return entries;
}

void TicketKeys::replace_by(TicketKeys& read) {
  {
    const std::lock_guard lock(mutex_);
    std::swap(entries_, read.entries_);
  }
  wipe_entries(read.entries_);
}

TicketKeys::Entry TicketKeys::fresh(WallTime now) const {
  Entry entry;
  random_(entry.name);
  random_(entry.key);
  entry.made = now;
  return entry;
}

void TicketKeys::rotate(WallTime now) {
  if (!file_.empty()) return;
  // A clock set back must not freeze the first key, nor one set forward and back lose all.
  const WallTime newest = entries_.front().made;
  if (now >= newest && now < newest + kRotation) return;
  if (now < newest) {
    if (newest - now < kRotation) return;
    for (Entry& entry : entries_) entry.made = std::min(entry.made, now);
    return;
  }
  Entry next = fresh(now);
  entries_.insert(entries_.begin(), next);
  wipe(next.key);
  const auto forgotten = [&](const Entry& entry) {
    return entry.made + kRotation * static_cast<int>(kKept + 1) <= now;
  };
  while (entries_.size() > kKept || forgotten(entries_.back())) {
    wipe(entries_.back().key);
    entries_.pop_back();
  }
}

std::size_t TicketKeys::seal(WallTime now, std::span<const std::byte> content,
                             std::span<std::byte> ticket) {
  const std::size_t total = content.size() + kOverheadBytes;
  if (ticket.size() < total) return 0;
  Entry entry;
  {
    const std::lock_guard lock(mutex_);
    rotate(now);
    entry = entries_.front();
  }
  // Random nonces: at most 2^32 tickets a key (NIST SP 800-38D 8.3); a node makes some 10^8 in the
  // time of one, and a site's file is replaced weekly.
  std::ranges::copy(entry.name, ticket.begin());
  const std::span<std::byte> nonce = ticket.subspan(kNameBytes, kTicketNonceBytes);
  random_(nonce);
  const std::span<std::byte> sealed = ticket.subspan(kNameBytes + kTicketNonceBytes);
  Gcm gcm(entry.key);
  wipe(entry.key);
  NEARFIELD_ASSERT(mbedtls_gcm_crypt_and_tag(
                       gcm.get(), MBEDTLS_GCM_ENCRYPT, content.size(), as_chars(nonce.data()),
                       nonce.size(), as_chars(entry.name.data()), entry.name.size(),
                       as_chars(content.data()), as_chars(sealed.data()), kTicketTagBytes,
                       as_chars(sealed.data() + content.size())) == 0);
  return total;
}

TicketKeys::Opened TicketKeys::open(WallTime now, std::span<const std::byte> ticket,
                                    std::span<std::byte> content, std::size_t& content_bytes) {
  content_bytes = 0;
  if (ticket.size() < kOverheadBytes) return Opened::refused;
  const std::size_t bytes = ticket.size() - kOverheadBytes;
  if (content.size() < bytes) return Opened::refused;
  Entry entry;
  Opened opened = Opened::refused;
  {
    const std::lock_guard lock(mutex_);
    rotate(now);
    for (const Entry& candidate : entries_) {
      if (!std::ranges::equal(candidate.name, ticket.first(kNameBytes))) continue;
      entry = candidate;
      opened = &candidate == &entries_.front() ? Opened::current : Opened::older;
      break;
    }
  }
  if (opened == Opened::refused) return opened;
  const std::span<const std::byte> nonce = ticket.subspan(kNameBytes, kTicketNonceBytes);
  const std::span<const std::byte> sealed = ticket.subspan(kNameBytes + kTicketNonceBytes);
  Gcm gcm(entry.key);
  wipe(entry.key);
  const int code = mbedtls_gcm_auth_decrypt(gcm.get(), bytes, as_chars(nonce.data()), nonce.size(),
                                            as_chars(entry.name.data()), entry.name.size(),
                                            as_chars(sealed.data() + bytes), kTicketTagBytes,
                                            as_chars(sealed.data()), as_chars(content.data()));
  if (code != 0) {
    wipe(content);
    return Opened::refused;
  }
  content_bytes = bytes;
  return opened;
}

std::size_t TicketKeys::key_count() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace nearfield::tls
