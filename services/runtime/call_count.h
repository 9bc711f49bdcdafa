// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>

#include "grpcpp/support/server_interceptor.h"
#include "services/runtime/mutex.h"

namespace virmo {

// Counts the calls under way, so that the end need not wait for connections that are idle.
// Internal to services/runtime.
class CallCount : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  struct State {
    Mutex mutex;
    std::condition_variable changed;
    int calls ABSL_GUARDED_BY(mutex) = 0;
  };
  explicit CallCount(State& state) : state_(state) {}

  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* /*info*/) override {
    return new Call(state_);  // gRPC owns it.
  }

 private:
  class Call : public grpc::experimental::Interceptor {
   public:
    explicit Call(State& state) : state_(state) {
      MutexLock lock(state_.mutex);
      ++state_.calls;
    }
    ~Call() override {
      MutexLock lock(state_.mutex);
      if (--state_.calls == 0) state_.changed.notify_all();
    }
    void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
      methods->Proceed();
    }

   private:
    State& state_;
  };

  State& state_;
};

}  // namespace virmo
