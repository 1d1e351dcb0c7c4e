#include "runtime/executor/WorkerPool.h"

#include "runtime/executor/CpuCount.h"
#include "runtime/executor/FloatEnvironment.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <mutex>
#include <new>
#include <pthread.h>
#include <sched.h>
#include <utility>

namespace rtorch::executor {
namespace {

/// How long a worker looks for work before it sleeps. Within a run longer than most
/// launches that the caller does alone: waking up costs more than a small launch.
/// Between runs shorter than what anyone would notice.
constexpr int64_t kSpinInRun = 200'000, kSpinBetweenRuns = 20'000; // nanoseconds
/// More threads than this never help on one machine.
constexpr unsigned kMaxWorkers = 1023;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  asm volatile("yield");
#endif
}

/// A worker's mailbox. Only the caller that reserved it moves it out of Idle or Parked.
enum State : uint32_t {
  Idle,     // looks for work, without sleeping
  Parked,   // sleeps
  Assigned, // `job` is there, but not yet begun; the caller may take it back
  Busy,     // works on `job`
};

} // namespace

struct alignas(64) Worker {
  std::atomic<uint32_t> state = Idle;
  std::atomic<bool> reserved = false; // belongs to a team
  Job *job = nullptr;
  unsigned thread = 0;    // number within the team; 0 is the caller
  Worker *next = nullptr; // in the free list or in a team

  void assign(Job &work);
  /// Takes the job back if it has not begun, else waits until it is done.
  void collect();
  void loop();

private:
  void waitForWork();
};

namespace {

/// All workers of the process. Never destroyed: workers sleep in it when it exits.
class Pool {
public:
  /// The process's pool; a new one after a fork, since threads do not survive that.
  static Pool &instance();

  /// Takes up to `count` idle workers. Starts new ones only up to the CPUs of the
  /// process or the largest count ever asked for: several callers share them, since
  /// more threads than CPUs slow each other down.
  Worker *take(unsigned count, unsigned &taken);
  void give(Worker *first);
  unsigned size() {
    std::lock_guard lock(mutex_);
    return workers_;
  }

private:
  Worker *start();

  std::mutex mutex_;
  Worker *free_ = nullptr;
  unsigned workers_ = 0;
  unsigned limit_ = defaultThreads() - 1;
};

std::atomic<Pool *> thePool = nullptr;

Pool &Pool::instance() {
  if (Pool *pool = thePool.load(std::memory_order_acquire))
    return *pool;
  static const int registered =
      pthread_atfork(nullptr, nullptr, [] { thePool.store(nullptr); });
  (void)registered;
  Pool *fresh = new Pool, *expected = nullptr;
  if (thePool.compare_exchange_strong(expected, fresh))
    return *fresh;
  delete fresh;
  return *expected;
}

Worker *Pool::take(unsigned count, unsigned &taken) {
  std::lock_guard lock(mutex_);
  limit_ = std::min(std::max(limit_, count), kMaxWorkers);
  Worker *list = nullptr;
  for (taken = 0; taken < count; ++taken) {
    Worker *worker = free_ ? free_ : start();
    if (!worker)
      break; // The caller does their work.
    free_ = worker == free_ ? worker->next : free_;
    worker->reserved.store(true, std::memory_order_relaxed);
    worker->next = list;
    list = worker;
  }
  return list;
}

void Pool::give(Worker *first) {
  std::lock_guard lock(mutex_);
  while (first) {
    Worker *worker = std::exchange(first, first->next);
    worker->reserved.store(false, std::memory_order_relaxed);
    worker->next = free_;
    free_ = worker;
  }
}

void *workerMain(void *worker) {
  static_cast<Worker *>(worker)->loop();
  return nullptr;
}

Worker *Pool::start() {
  if (workers_ >= limit_)
    return nullptr;
  Worker *worker = new (std::nothrow) Worker;
  if (!worker)
    return nullptr;
  // Signals are the business of the program's own threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  const int error = pthread_create(&thread, nullptr, workerMain, worker);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) {
    delete worker;
    return nullptr;
  }
  char name[16];
  std::snprintf(name, sizeof name, "rtorch-%u", workers_ % 10000);
  pthread_setname_np(thread, name);
  pthread_detach(thread);
  ++workers_;
  return worker;
}

} // namespace

void Worker::assign(Job &work) {
  job = &work;
  if (state.exchange(Assigned, std::memory_order_acq_rel) == Parked)
    state.notify_one();
}

void Worker::collect() {
  uint32_t expected = Assigned;
  if (state.compare_exchange_strong(expected, Idle, std::memory_order_acq_rel))
    return;
  // It works on its last tiles. Yield now and then, for machines with too few CPUs.
  for (unsigned spins = 1; state.load(std::memory_order_acquire) == Busy; ++spins) {
    if (spins % 1024 == 0)
      sched_yield();
    relax();
  }
}

void Worker::waitForWork() {
  int64_t begin = nowNanoseconds();
  while (state.load(std::memory_order_relaxed) == Idle) {
    for (int i = 0; i < 32; ++i)
      relax();
    const bool inRun = reserved.load(std::memory_order_relaxed);
    if (nowNanoseconds() - begin < (inRun ? kSpinInRun : kSpinBetweenRuns))
      continue;
    uint32_t expected = Idle;
    if (state.compare_exchange_strong(expected, Parked, std::memory_order_acq_rel))
      state.wait(Parked, std::memory_order_acquire);
    begin = nowNanoseconds(); // More launches are likely to follow.
  }
}

void Worker::loop() {
  const FloatEnvironment environment;
  for (;;) {
    waitForWork();
    uint32_t expected = Assigned;
    if (!state.compare_exchange_strong(expected, Busy, std::memory_order_acq_rel))
      continue;
    job->work(thread);
    // The caller may free the job as soon as it sees this.
    state.store(Idle, std::memory_order_release);
  }
}

void Job::work(unsigned thread) {
  void *memory = scratch + thread * scratch_stride;
  for (;;) {
    const int64_t begin = next.fetch_add(chunk, std::memory_order_relaxed);
    if (begin >= grid || error.load(std::memory_order_relaxed) != 0)
      return;
    const int64_t start = spans ? nowNanoseconds() : 0;
    const int64_t end = std::min(begin + chunk, grid);
    if (int32_t code = kernel(frame, begin, end, memory))
      error.store(code, std::memory_order_relaxed);
    if (!spans)
      continue;
    if (spans[thread].end == 0)
      spans[thread].begin = start;
    spans[thread].end = nowNanoseconds();
  }
}

Team::~Team() {
  if (first_)
    Pool::instance().give(first_);
}

void Team::reserve() {
  reserved_ = true;
  first_ = Pool::instance().take(threads_ - 1, workers_);
  unsigned number = 0;
  for (Worker *worker = first_; worker; worker = worker->next)
    worker->thread = ++number;
}

int32_t Team::run(Job &job) {
  if (job.grid <= 0)
    return 0;
  const bool own = parallel_.call == nullptr;
  if (threads_ > 1 && job.grid > 1 && own && !reserved_)
    reserve();
  const unsigned helpers = own ? workers_ : threads_ - 1;
  if (helpers == 0 || job.grid == 1) {
    const int64_t begin = job.spans ? nowNanoseconds() : 0;
    const int32_t code = job.kernel(job.frame, 0, job.grid, job.scratch);
    if (job.spans)
      job.spans[0] = {begin, nowNanoseconds()};
    return code;
  }
  // Chunks shrink the counter's traffic; a few for each thread keep the load even.
  job.chunk = std::max<int64_t>(1, job.grid / (int64_t(helpers + 1) * 8));
  const auto wanted = unsigned(std::min<int64_t>(helpers, job.grid - 1));
  if (!own) {
    parallel_.call(
        parallel_.user, wanted + 1,
        [](void *shared, uint32_t thread) { static_cast<Job *>(shared)->work(thread); },
        &job);
    return job.error.load(std::memory_order_relaxed);
  }
  unsigned assigned = 0;
  for (Worker *w = first_; assigned < wanted; w = w->next, ++assigned)
    w->assign(job);
  job.work(0);
  for (Worker *w = first_; assigned > 0; w = w->next, --assigned)
    w->collect();
  return job.error.load(std::memory_order_relaxed);
}

unsigned defaultThreads() {
  static const unsigned threads = availableCpus();
  return threads;
}

unsigned workerCount() { return Pool::instance().size(); }

int64_t nowNanoseconds() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

} // namespace rtorch::executor
