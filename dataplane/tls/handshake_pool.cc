#include "dataplane/tls/handshake_pool.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <format>
#include <utility>

#include "cache/base/assert.h"

namespace nearfield::tls {
namespace {

Duration thread_cpu() {
  timespec spent{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return std::chrono::seconds(spent.tv_sec) + std::chrono::nanoseconds(spent.tv_nsec);
}

std::size_t kept_for_origins(std::size_t maximum_jobs) {
  return std::max<std::size_t>(maximum_jobs / 8, 16);
}

}  // namespace

HandshakeMailbox::HandshakeMailbox(Ref<Signal> signal) : signal_(std::move(signal)) {}

HandshakeMailbox::~HandshakeMailbox() {
  while (first_ != nullptr) delete std::exchange(first_, first_->next_);
}

std::unique_ptr<HandshakeJob> HandshakeMailbox::take() {
  const std::lock_guard lock(mutex_);
  if (first_ == nullptr) return nullptr;
  std::unique_ptr<HandshakeJob> job(first_);
  first_ = job->next_;
  if (first_ != nullptr)
    first_->previous_ = nullptr;
  else
    last_ = nullptr;
  job->next_ = nullptr;
  job->place_ = HandshakeJob::Place::outside;
  job->mailbox = Ref<HandshakeMailbox>(this);
  return job;
}

void HandshakeMailbox::link(std::unique_ptr<HandshakeJob> job) {
  // While it lies here it must not keep its mailbox alive.
  job->mailbox.reset();
  const std::lock_guard lock(mutex_);
  job->place_ = HandshakeJob::Place::returned;
  job->next_ = nullptr;
  job->previous_ = last_;
  (last_ != nullptr ? last_->next_ : first_) = job.get();
  last_ = job.release();
}

void HandshakeMailbox::remove(HandshakeJob* job) {
  const std::unique_ptr<HandshakeJob> removed(job);
  const std::lock_guard lock(mutex_);
  (job->previous_ != nullptr ? job->previous_->next_ : first_) = job->next_;
  (job->next_ != nullptr ? job->next_->previous_ : last_) = job->previous_;
}

std::size_t HandshakePool::PrefixHash::operator()(const HandshakeJob::Prefix& prefix) const {
  // Prefixes are few (at most as many as jobs), so that colliding on purpose gains nothing.
  return std::hash<std::string_view>()(
      {reinterpret_cast<const char*>(prefix.address.bytes.data()), prefix.address.bytes.size()});
}

HandshakePool::HandshakePool(const HandshakePoolOptions& options)
    : options_(options),
      maximum_all_jobs_(options.maximum_jobs + kept_for_origins(options.maximum_jobs)) {
  NEARFIELD_ASSERT(options.threads <= 64);
  NEARFIELD_ASSERT(options.maximum_jobs >= 1 && options.maximum_jobs_per_prefix >= 1);
  for (unsigned number = 0; number < options.threads; ++number)
    threads_.emplace_back([this, number] { run(number); });
}

HandshakePool::~HandshakePool() { stop(); }

HandshakePool::Submitted HandshakePool::submit(std::unique_ptr<HandshakeJob>& job) {
  NEARFIELD_ASSERT(job != nullptr && job->handshake != nullptr && job->mailbox);
  NEARFIELD_ASSERT(job->place_ == HandshakeJob::Place::outside);
  const bool is_client = job->handshake->is_client();
  const bool is_begun = job->cpu > Duration::zero();
  const HandshakeJob::Prefix key{
      .address = job->client.truncated(options_.prefix_v4_bits, options_.prefix_v6_bits),
      .is_client = is_client};
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return Submitted::stopped;
    if (!is_begun && (is_client ? counts_.jobs >= maximum_all_jobs_
                                : listeners_jobs_ >= options_.maximum_jobs)) {
      ++counts_.refused_full;
      return Submitted::full;
    }
    Turn& prefix = prefixes_[key];
    if (!is_begun && prefix.jobs >= options_.maximum_jobs_per_prefix) {
      ++counts_.refused_prefix;
      return Submitted::prefix_full;
    }
    ++prefix.jobs;
    ++counts_.jobs;
    if (!is_client) ++listeners_jobs_;
    ++counts_.queued;
    ++counts_.submitted;
    job->prefix_ = key;
    job->cancelled_ = false;
    job->home_ = job->mailbox.get();
    job->place_ = HandshakeJob::Place::queued;
    append(*job.release(), prefix);
  }
  wake_.notify_one();
  return Submitted::yes;
}

void HandshakePool::append(HandshakeJob& job, Turn& prefix) {
  if (job.cpu > Duration::zero()) {
    // Whoever is half done comes first: with too little time for all, some get through, where
    // otherwise all would be begun and none finished.
    job.previous_ = nullptr;
    job.next_ = prefix.first;
    (prefix.first != nullptr ? prefix.first->previous_ : prefix.last) = &job;
    prefix.first = &job;
  } else {
    job.next_ = nullptr;
    job.previous_ = prefix.last;
    (prefix.last != nullptr ? prefix.last->next_ : prefix.first) = &job;
    prefix.last = &job;
  }
  if (prefix.next != nullptr) return;
  // Into the ring, at the end: before the prefix whose turn it is.
  if (turn_ == nullptr) {
    prefix.next = prefix.previous = turn_ = &prefix;
    return;
  }
  prefix.next = turn_;
  prefix.previous = turn_->previous;
  turn_->previous->next = &prefix;
  turn_->previous = &prefix;
}

void HandshakePool::unlink(HandshakeJob& job, Turn& prefix) {
  (job.previous_ != nullptr ? job.previous_->next_ : prefix.first) = job.next_;
  (job.next_ != nullptr ? job.next_->previous_ : prefix.last) = job.previous_;
  job.next_ = job.previous_ = nullptr;
  --counts_.queued;
  if (prefix.first != nullptr) return;
  if (turn_ == &prefix) turn_ = prefix.next == &prefix ? nullptr : prefix.next;
  prefix.previous->next = prefix.next;
  prefix.next->previous = prefix.previous;
  prefix.next = prefix.previous = nullptr;
}

void HandshakePool::uncount(const HandshakeJob& job) {
  --counts_.jobs;
  if (!job.prefix_.is_client) --listeners_jobs_;
  const auto found = prefixes_.find(job.prefix_);
  NEARFIELD_ASSERT(found != prefixes_.end());
  if (--found->second.jobs == 0) prefixes_.erase(found);
}

HandshakeJob* HandshakePool::pop() {
  Turn* prefix = turn_;
  if (prefix == nullptr) return nullptr;
  HandshakeJob* job = prefix->first;
  turn_ = prefix->next;
  unlink(*job, *prefix);
  job->place_ = HandshakeJob::Place::running;
  return job;
}

void HandshakePool::cancel(HandshakeJob* job) {
  std::unique_ptr<HandshakeJob> dropped;  // freed without the mutex
  {
    const std::lock_guard lock(mutex_);
    ++counts_.cancelled;
    switch (job->place_) {
      case HandshakeJob::Place::queued:
        unlink(*job, prefixes_.find(job->prefix_)->second);
        uncount(*job);
        dropped.reset(job);
        return;
      case HandshakeJob::Place::running:
        job->cancelled_ = true;
        return;
      case HandshakeJob::Place::returned:
        break;
      case HandshakeJob::Place::outside:
        NEARFIELD_ASSERT(job->place_ != HandshakeJob::Place::outside);
    }
  }
  // Only this worker takes from its mailbox, so the job is still there.
  job->home_->remove(job);
}

void HandshakePool::count_result(const HandshakeJob& job) {
  switch (job.result) {
    case Handshake::Step::need_more:
      break;
    case Handshake::Step::finished:
      ++(job.handshake->resumed() ? counts_.finished_resumed : counts_.finished_full);
      (job.handshake->resumed() ? counts_.cpu_resumed : counts_.cpu_full) += job.cpu;
      break;
    case Handshake::Step::failed:
      counts_.cpu_failed += job.cpu;
      break;
  }
}

void HandshakePool::run(unsigned number) {
  ::pthread_setname_np(::pthread_self(), std::format("tls-helper-{}", number).c_str());
  // Linux keeps nice values per thread; failing to be nice is no failure.
  if (options_.nice > 0)
    static_cast<void>(::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()),
                                    ::getpriority(PRIO_PROCESS, 0) + options_.nice));
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [&] { return stopping_ || turn_ != nullptr; });
    if (stopping_) return;
    run_job(lock);
  }
}

bool HandshakePool::run_one() {
  NEARFIELD_ASSERT(options_.threads == 0);
  std::unique_lock lock(mutex_);
  if (turn_ == nullptr) return false;
  run_job(lock);
  return true;
}

void HandshakePool::run_job(std::unique_lock<std::mutex>& lock) {
  std::unique_ptr<HandshakeJob> job(pop());
  lock.unlock();
  const Duration begin = thread_cpu();
  job->result = job->handshake->step(job->now);
  job->cpu += thread_cpu() - begin;
  lock.lock();
  count_result(*job);
  uncount(*job);
  if (job->cancelled_) {
    lock.unlock();
    job.reset();
    lock.lock();
    return;
  }
  // Linked with the mutex held, so that cancel() finds the job here or there; the mailbox's own is
  // only ever taken inside. Raised without: that is a call of the kernel.
  Ref<HandshakeMailbox> mailbox = job->mailbox;
  mailbox->link(std::move(job));
  lock.unlock();
  mailbox->raise();
  mailbox.reset();
  lock.lock();
}

void HandshakePool::stop() {
  std::vector<std::thread> threads;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    threads = std::move(threads_);
  }
  wake_.notify_all();
  for (std::thread& thread : threads) thread.join();
  std::vector<std::unique_ptr<HandshakeJob>> dropped;
  const std::lock_guard lock(mutex_);
  while (HandshakeJob* job = pop()) {
    uncount(*job);
    dropped.emplace_back(job);
  }
}

void HandshakePool::note_failure(HandshakeFailure failure) {
  failed_[static_cast<std::size_t>(failure)].fetch_add(1, std::memory_order_relaxed);
}

HandshakePoolCounts HandshakePool::counts() const {
  HandshakePoolCounts counts;
  {
    const std::lock_guard lock(mutex_);
    counts = counts_;
  }
  for (std::size_t reason = 0; reason < failed_.size(); ++reason)
    counts.failed[reason] = failed_[reason].load(std::memory_order_relaxed);
  return counts;
}

}  // namespace nearfield::tls
