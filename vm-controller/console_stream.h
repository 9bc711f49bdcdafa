// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <string>
#include <thread>

#include "grpcpp/support/server_callback.h"
#include "services/runtime/mutex.h"
#include "virmo/v1/virtual_machine_service.pb.h"
#include "vm-controller/controller.h"

namespace virmo::vm_controller {

// One OpenConsole call. (By the callback API, since a lock must end it with a status of ours while
// a read is pending.) Deletes itself when the call is over.
class ConsoleStream
    : public grpc::ServerBidiReactor<v1::OpenConsoleRequest, v1::OpenConsoleResponse> {
 public:
  // `controller` must outlive it.
  explicit ConsoleStream(Controller& controller);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  absl::Status Open();
  void Forward();
  absl::Status WhyClosed();

  Controller& controller_;
  std::string id_;
  std::unique_ptr<ConsoleHub::Stream> console_;
  v1::OpenConsoleRequest request_;
  v1::OpenConsoleResponse response_;
  std::atomic<bool> over_ = false;  // The client is gone.
  Mutex mutex_;
  std::condition_variable written_cv_;
  bool written_ ABSL_GUARDED_BY(mutex_) = true;
  std::thread forwarder_;
};

}  // namespace virmo::vm_controller
