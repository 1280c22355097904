// The threads of one model. A unit of work (a frame, a backbone step) is handed out once; inside it
// the workers meet at barriers, which spin, because a product takes no longer than waking a thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace csm {

class Pool;

// One thread's place in a unit of work.
struct Worker {
  int index;
  int count;
  Pool* pool;

  // Waits until every worker is here.
  void meet() const;

  // This worker's part of `size` items: the whole range is dealt out in order, whatever the count.
  struct Range {
    int begin, end;
  };
  Range share(int size) const {
    return {static_cast<int>(int64_t{size} * index / count),
            static_cast<int>(int64_t{size} * (index + 1) / count)};
  }
};

class Pool {
 public:
  // `threads` - 1 threads are started; the caller of `run` is the other one.
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const { return threads_; }

  // Runs `work` on every worker and returns when all are done. It must not throw.
  void run(const std::function<void(const Worker&)>& work);

 private:
  friend struct Worker;
  void serve(int index);
  void meet();
  void stop();
  uint64_t next_unit(uint64_t seen);

  const int threads_;
  std::vector<std::thread> workers_;
  const std::function<void(const Worker&)>* work_ = nullptr;
  std::atomic<uint64_t> unit_{0};
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable begun_;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<uint64_t> round_{0};
};

inline void Worker::meet() const {
  if (count > 1) pool->meet();
}

}  // namespace csm
