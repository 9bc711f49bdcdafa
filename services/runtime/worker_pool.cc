// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/worker_pool.h"

#include <algorithm>
#include <utility>

namespace virmo {

WorkerPool::WorkerPool(int threads) : max_threads_(static_cast<size_t>(std::max(threads, 1))) {}

WorkerPool::~WorkerPool() {
  std::vector<std::thread> threads;
  {
    MutexLock lock(mutex_);
    stop_ = true;
    threads = std::move(threads_);
    changed_.notify_all();
  }
  for (std::thread& thread : threads) thread.join();
}

void WorkerPool::Run(const std::string& key, std::function<void()> task) {
  MutexLock lock(mutex_);
  if (stop_) return;
  tasks_.push_back({key, std::move(task)});
  if (tasks_.size() > idle_ && threads_.size() < max_threads_) {
    threads_.emplace_back([this] { Work(); });
  } else {
    changed_.notify_one();
  }
}

void WorkerPool::Work() {
  while (true) {
    Task task;
    {
      MutexLock lock(mutex_);
      ++idle_;
      auto next = tasks_.end();
      lock.Wait(changed_, [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
        return stop_ || (next = NextLocked()) != tasks_.end();
      });
      --idle_;
      if (stop_) return;
      task = std::move(*next);
      tasks_.erase(next);
      busy_.insert(task.key);
    }
    task.run();
    task.run = nullptr;  // What it holds goes before its key is free.
    MutexLock lock(mutex_);
    busy_.erase(task.key);
    // This thread takes one of the waiting tasks itself; the rest is for the others.
    if (!tasks_.empty()) changed_.notify_all();
  }
}

std::deque<WorkerPool::Task>::iterator WorkerPool::NextLocked() {
  return std::find_if(tasks_.begin(), tasks_.end(),
                      [&](const Task& task)
                          ABSL_NO_THREAD_SAFETY_ANALYSIS { return !busy_.contains(task.key); });
}

}  // namespace virmo
