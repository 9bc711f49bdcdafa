// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <usbredirparser.h>

#include <deque>
#include <memory>
#include <string>

#include "tests/support/software_usb/usb_function.h"

namespace virmo::testing_support {

// A software USB device at the device's end of a usbredir connection (protocol version 0.7), over
// a connected, non-blocking socket. Of one thread.
class Redirection {
 public:
  // `function` must outlive it; `fd` is closed at the end.
  Redirection(UsbFunction& function, std::string serial, int fd);
  ~Redirection();
  Redirection(const Redirection&) = delete;
  Redirection& operator=(const Redirection&) = delete;

  // Reads and answers; returns false when the peer is gone.
  bool Serve();
  bool WantsToWrite() const { return usbredirparser_has_data_to_write(parser_.get()) != 0; }
  int fd() const { return fd_; }

 private:
  struct PendingRead {
    uint64_t id;
    int length;
  };
  struct ParserDeleter {
    void operator()(usbredirparser* parser) const { usbredirparser_destroy(parser); }
  };

  static Redirection& Of(void* self) { return *static_cast<Redirection*>(self); }
  void SetCallbacks();
  void Introduce();
  void OnControl(uint64_t id, usb_redir_control_packet_header* header, uint8_t* data, int length);
  void OnBulk(uint64_t id, usb_redir_bulk_packet_header* header, uint8_t* data, int length);
  void OnCancel(uint64_t id);
  Bytes Descriptor(int type, int index) const;
  void FlushBulk();
  void FlushInterrupts();

  UsbFunction& function_;
  const std::string serial_;
  const int fd_;
  std::unique_ptr<usbredirparser, ParserDeleter> parser_;
  std::deque<PendingRead> reads_;
  std::deque<Bytes> bulk_, interrupts_;
  bool receives_interrupts_ = false;
  uint64_t next_interrupt_ = 0;
};

}  // namespace virmo::testing_support
