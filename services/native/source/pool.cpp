#include "pool.hpp"

namespace csm {
namespace {

// About as long as a barrier takes when every thread has a core of its own. Where it has not, the
// thread that is waited for needs this one's core.
constexpr int spins_before_yield = 4000;
// Between the backbone's step and the frame that follows there is a little Python.
constexpr int spins_before_sleep = 4000;

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  // As long as x86's pause, some tens of cycles; `yield` takes none.
  asm volatile("isb" ::: "memory");
#endif
}

}  // namespace

Pool::Pool(int threads) : threads_(threads) {
  try {
    for (int index = 1; index < threads; ++index)
      workers_.emplace_back([this, index] { serve(index); });
  } catch (...) {
    stop();
    throw;
  }
}

Pool::~Pool() { stop(); }

void Pool::stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    ++unit_;
  }
  begun_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
}

void Pool::run(const std::function<void(const Worker&)>& work) {
  if (threads_ == 1) return work(Worker{0, 1, this});
  {
    std::lock_guard<std::mutex> lock(mutex_);
    work_ = &work;
    ++unit_;
  }
  begun_.notify_all();
  work(Worker{0, threads_, this});
  meet();
}

void Pool::serve(int index) {
  uint64_t seen = 0;
  for (;;) {
    seen = next_unit(seen);
    if (stopping_) return;
    (*work_)(Worker{index, threads_, this});
    meet();
  }
}

uint64_t Pool::next_unit(uint64_t seen) {
  for (int spin = 0; spin < spins_before_sleep; ++spin) {
    if (unit_.load(std::memory_order_acquire) != seen) break;
    pause();
  }
  std::unique_lock<std::mutex> lock(mutex_);
  begun_.wait(lock, [&] { return unit_ != seen; });
  return unit_;
}

void Pool::meet() {
  const uint64_t round = round_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) == threads_ - 1) {
    arrived_.store(0, std::memory_order_relaxed);
    round_.store(round + 1, std::memory_order_release);
    return;
  }
  for (int spin = 0; round_.load(std::memory_order_acquire) == round; ++spin) {
    if (spin < spins_before_yield) {
      pause();
    } else {
      std::this_thread::yield();
    }
  }
}

}  // namespace csm
