// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/worker_pool.h"

#include <atomic>
#include <future>
#include <memory>
#include <optional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace virmo {
namespace {

TEST(WorkerPoolTest, TasksOfOneKeyRunInOrderOneAtATime) {
  std::vector<int> order;  // Unguarded: one at a time is what is claimed.
  std::promise<void> done;
  {
    WorkerPool pool(4);
    for (int i = 0; i < 200; ++i) pool.Run("vm", [&, i] { order.push_back(i); });
    pool.Run("vm", [&] { done.set_value(); });
    done.get_future().wait();
  }

  ASSERT_EQ(order.size(), 200U);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(WorkerPoolTest, TasksOfDifferentKeysRunSideBySide) {
  std::promise<void> first_began;
  std::promise<void> second_began;
  std::promise<void> both;
  WorkerPool pool(2);

  // Each waits for the other: with one at a time neither would end.
  pool.Run("a", [&] {
    first_began.set_value();
    second_began.get_future().wait();
    both.set_value();
  });
  pool.Run("b", [&] {
    first_began.get_future().wait();
    second_began.set_value();
  });

  EXPECT_EQ(both.get_future().wait_for(std::chrono::seconds(30)), std::future_status::ready);
}

TEST(WorkerPoolTest, ABusyKeyDoesNotHoldUpOthersBehindIt) {
  std::promise<void> release;
  std::promise<void> other_done;
  WorkerPool pool(2);
  pool.Run("a", [&] { release.get_future().wait(); });
  pool.Run("a", [] {});
  pool.Run("b", [&] { other_done.set_value(); });

  EXPECT_EQ(other_done.get_future().wait_for(std::chrono::seconds(30)), std::future_status::ready);
  release.set_value();
}

TEST(WorkerPoolTest, NeverMoreThreadsThanAllowed) {
  std::atomic<int> running = 0;
  std::atomic<int> most = 0;
  std::atomic<int> ended = 0;
  std::promise<void> done;
  {
    WorkerPool pool(3);
    for (int i = 0; i < 60; ++i) {
      pool.Run(std::to_string(i), [&] {
        const int now = ++running;
        int seen = most;
        while (now > seen && !most.compare_exchange_weak(seen, now)) {
        }
        std::this_thread::yield();
        --running;
        if (++ended == 60) done.set_value();
      });
    }
    done.get_future().wait();
  }

  EXPECT_LE(most, 3);
}

TEST(WorkerPoolTest, TheDestructorWaitsForWhatRunsAndDropsTheRest) {
  std::promise<void> began;
  std::promise<void> release;
  bool ended = false;
  std::optional<WorkerPool> pool(std::in_place, 1);
  pool->Run("vm", [&] {
    began.set_value();
    release.get_future().wait();
    ended = true;
  });
  // Not run, or run before the end; never after it (the sanitizers would tell).
  auto late = std::make_unique<int>(0);
  pool->Run("vm", [&] { ++*late; });
  began.get_future().wait();
  std::thread releaser([&] { release.set_value(); });

  pool.reset();

  EXPECT_TRUE(ended);
  releaser.join();
  EXPECT_LE(*late, 1);
  late.reset();
}

TEST(WorkerPoolTest, ATaskMayAddTasks) {
  std::promise<int> result;
  WorkerPool pool(1);

  pool.Run("vm", [&] { pool.Run("vm", [&] { result.set_value(42); }); });

  EXPECT_EQ(result.get_future().get(), 42);
}

}  // namespace
}  // namespace virmo
