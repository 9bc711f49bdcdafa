// SPDX-License-Identifier: Apache-2.0
#include "tests/support/software_usb/redirection.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace virmo::testing_support {
namespace {

constexpr size_t kMostWaiting = 64;  // What nobody reads is dropped, as a serial line would.

int EndpointIndex(uint8_t address) { return ((address & 0x80) >> 3) | (address & 0x0f); }

}  // namespace

Redirection::Redirection(UsbFunction& function, std::string serial, int fd)
    : function_(function), serial_(std::move(serial)), fd_(fd), parser_(usbredirparser_create()) {
  SetCallbacks();
  function_.send_bulk = [this](const Bytes& data) {
    if (bulk_.size() < kMostWaiting) bulk_.push_back(data);
    FlushBulk();
  };
  function_.send_interrupt = [this](const Bytes& data) {
    interrupts_.push_back(data);
    FlushInterrupts();
  };
  uint32_t caps[USB_REDIR_CAPS_SIZE] = {0};
  for (const int cap : {usb_redir_cap_connect_device_version, usb_redir_cap_ep_info_max_packet_size,
                        usb_redir_cap_64bits_ids, usb_redir_cap_32bits_bulk_length,
                        usb_redir_cap_device_disconnect_ack}) {
    usbredirparser_caps_set_cap(caps, cap);
  }
  usbredirparser_init(parser_.get(), "virmo software usb", caps, USB_REDIR_CAPS_SIZE,
                      usbredirparser_fl_usb_host);
}

Redirection::~Redirection() {
  function_.send_bulk = [](const Bytes&) {};
  function_.send_interrupt = [](const Bytes&) {};
  close(fd_);
}

void Redirection::SetCallbacks() {
  usbredirparser* p = parser_.get();
  p->priv = this;
  p->log_func = [](void*, int, const char*) {};
  p->read_func = [](void* self, uint8_t* data, int count) {
    const ssize_t got = read(Of(self).fd_, data, static_cast<size_t>(count));
    if (got > 0) return static_cast<int>(got);
    return got < 0 && errno == EAGAIN ? 0 : -1;
  };
  p->write_func = [](void* self, uint8_t* data, int count) {
    const ssize_t put = write(Of(self).fd_, data, static_cast<size_t>(count));
    if (put >= 0) return static_cast<int>(put);
    return errno == EAGAIN ? 0 : -1;
  };
  p->hello_func = [](void* self, usb_redir_hello_header*) { Of(self).Introduce(); };
  p->reset_func = [](void*) {};
  p->set_configuration_func = [](void* self, uint64_t id, usb_redir_set_configuration_header* h) {
    usb_redir_configuration_status_header status = {usb_redir_success, h->configuration};
    usbredirparser_send_configuration_status(Of(self).parser_.get(), id, &status);
  };
  p->get_configuration_func = [](void* self, uint64_t id) {
    usb_redir_configuration_status_header status = {usb_redir_success, 1};
    usbredirparser_send_configuration_status(Of(self).parser_.get(), id, &status);
  };
  p->set_alt_setting_func = [](void* self, uint64_t id, usb_redir_set_alt_setting_header* h) {
    usb_redir_alt_setting_status_header status = {usb_redir_success, h->interface, h->alt};
    usbredirparser_send_alt_setting_status(Of(self).parser_.get(), id, &status);
  };
  p->get_alt_setting_func = [](void* self, uint64_t id, usb_redir_get_alt_setting_header* h) {
    usb_redir_alt_setting_status_header status = {usb_redir_success, h->interface, 0};
    usbredirparser_send_alt_setting_status(Of(self).parser_.get(), id, &status);
  };
  p->start_interrupt_receiving_func = [](void* self, uint64_t id,
                                         usb_redir_start_interrupt_receiving_header* h) {
    usb_redir_interrupt_receiving_status_header status = {usb_redir_success, h->endpoint};
    usbredirparser_send_interrupt_receiving_status(Of(self).parser_.get(), id, &status);
    Of(self).receives_interrupts_ = true;
    Of(self).FlushInterrupts();
  };
  p->stop_interrupt_receiving_func = [](void* self, uint64_t id,
                                        usb_redir_stop_interrupt_receiving_header* h) {
    usb_redir_interrupt_receiving_status_header status = {usb_redir_success, h->endpoint};
    usbredirparser_send_interrupt_receiving_status(Of(self).parser_.get(), id, &status);
    Of(self).receives_interrupts_ = false;
  };
  p->cancel_data_packet_func = [](void* self, uint64_t id) { Of(self).OnCancel(id); };
  p->control_packet_func = [](void* self, uint64_t id, usb_redir_control_packet_header* h,
                              uint8_t* data,
                              int length) { Of(self).OnControl(id, h, data, length); };
  p->bulk_packet_func = [](void* self, uint64_t id, usb_redir_bulk_packet_header* h, uint8_t* data,
                           int length) { Of(self).OnBulk(id, h, data, length); };
}

void Redirection::Introduce() {
  usb_redir_interface_info_header info = {};
  usb_redir_ep_info_header ends = {};
  std::fill(std::begin(ends.type), std::end(ends.type), usb_redir_type_invalid);
  ends.type[EndpointIndex(0x00)] = ends.type[EndpointIndex(0x80)] = usb_redir_type_control;
  info.interface_count = static_cast<uint32_t>(function_.interfaces.size());
  for (size_t i = 0; i < function_.interfaces.size(); ++i) {
    const UsbInterface& one = function_.interfaces[i];
    info.interface[i] = static_cast<uint8_t>(i);
    info.interface_class[i] = one.interface_class;
    info.interface_subclass[i] = one.subclass;
    info.interface_protocol[i] = one.protocol;
    for (const UsbInterface::Endpoint& end : one.endpoints) {
      const int at = EndpointIndex(end.address);
      ends.type[at] = end.interrupt ? usb_redir_type_interrupt : usb_redir_type_bulk;
      ends.interval[at] = end.interrupt ? 10 : 0;
      ends.interface[at] = static_cast<uint8_t>(i);
      ends.max_packet_size[at] = end.max_packet;
    }
  }
  usb_redir_device_connect_header connect = {};
  connect.speed = usb_redir_speed_full;
  connect.device_class = function_.device_class;
  connect.device_subclass = function_.subclass;
  connect.device_protocol = function_.protocol;
  connect.vendor_id = function_.vendor;
  connect.product_id = function_.product;
  connect.device_version_bcd = 0x0100;
  usbredirparser_send_interface_info(parser_.get(), &info);
  usbredirparser_send_ep_info(parser_.get(), &ends);
  usbredirparser_send_device_connect(parser_.get(), &connect);
}

bool Redirection::Serve() {
  if (usbredirparser_do_read(parser_.get()) != 0) return false;
  while (WantsToWrite()) {
    if (usbredirparser_do_write(parser_.get()) != 0) return false;
  }
  return true;
}

Bytes Redirection::Descriptor(int type, int index) const {
  constexpr int kDevice = 1, kConfiguration = 2, kString = 3;
  if (type == kDevice) return function_.DeviceDescriptor();
  if (type == kConfiguration) return function_.ConfigurationDescriptor();
  if (type != kString) return {};
  if (index == 0) return {4, 3, 9, 4};  // English.
  const std::string text = index == 1 ? "VirMO test" : index == 2 ? function_.name : serial_;
  Bytes bytes = {static_cast<uint8_t>(2 + 2 * text.size()), 3};
  for (const char c : text) {
    bytes.push_back(static_cast<uint8_t>(c));
    bytes.push_back(0);
  }
  return bytes;
}

void Redirection::OnControl(uint64_t id, usb_redir_control_packet_header* header, uint8_t* data,
                            int length) {
  constexpr uint8_t kTypeMask = 0x60, kStandard = 0, kGetStatus = 0, kGetDescriptor = 6;
  const bool to_host = (header->requesttype & 0x80) != 0;
  const Bytes sent(data, data + length);
  if (data != nullptr) usbredirparser_free_packet_data(parser_.get(), data);
  Bytes answer;
  header->status = usb_redir_success;
  if ((header->requesttype & kTypeMask) != kStandard) {
    answer = function_.OnControl(header->request, sent);
  } else if (header->request == kGetDescriptor) {
    answer = Descriptor(header->value >> 8, header->value & 0xff);
    if (answer.empty()) header->status = usb_redir_stall;
  } else if (header->request == kGetStatus) {
    answer = {0, 0};
  }
  if (answer.size() > header->length) answer.resize(header->length);
  if (to_host) header->length = static_cast<uint16_t>(answer.size());
  const bool has_data = to_host && !answer.empty();
  usbredirparser_send_control_packet(parser_.get(), id, header, has_data ? answer.data() : nullptr,
                                     has_data ? static_cast<int>(answer.size()) : 0);
}

void Redirection::OnBulk(uint64_t id, usb_redir_bulk_packet_header* header, uint8_t* data,
                         int length) {
  if ((header->endpoint & 0x80) != 0) {
    reads_.push_back({id, header->length | header->length_high << 16});
    return FlushBulk();
  }
  const Bytes sent(data, data + length);
  if (data != nullptr) usbredirparser_free_packet_data(parser_.get(), data);
  header->status = usb_redir_success;
  usbredirparser_send_bulk_packet(parser_.get(), id, header, nullptr, 0);
  function_.OnBulk(sent);
}

void Redirection::OnCancel(uint64_t id) {
  const auto found = std::find_if(reads_.begin(), reads_.end(),
                                  [&](const PendingRead& read) { return read.id == id; });
  if (found == reads_.end()) return;
  reads_.erase(found);
  usb_redir_bulk_packet_header header = {};
  header.endpoint = 0x82;
  header.status = usb_redir_cancelled;
  usbredirparser_send_bulk_packet(parser_.get(), id, &header, nullptr, 0);
}

void Redirection::FlushBulk() {
  while (!reads_.empty() && !bulk_.empty()) {
    const PendingRead read = reads_.front();
    Bytes& data = bulk_.front();
    const size_t count = std::min(data.size(), static_cast<size_t>(read.length));
    usb_redir_bulk_packet_header header = {};
    header.endpoint = 0x82;
    header.length = static_cast<uint16_t>(count);
    usbredirparser_send_bulk_packet(parser_.get(), read.id, &header, data.data(),
                                    static_cast<int>(count));
    reads_.pop_front();
    data.erase(data.begin(), data.begin() + static_cast<ptrdiff_t>(count));
    if (data.empty()) bulk_.pop_front();
  }
}

void Redirection::FlushInterrupts() {
  constexpr size_t kPacket = 16;
  for (; receives_interrupts_ && !interrupts_.empty(); interrupts_.pop_front()) {
    Bytes& event = interrupts_.front();
    for (size_t at = 0; at < event.size(); at += kPacket) {
      const size_t count = std::min(kPacket, event.size() - at);
      usb_redir_interrupt_packet_header header = {0x81, usb_redir_success,
                                                  static_cast<uint16_t>(count)};
      usbredirparser_send_interrupt_packet(parser_.get(), next_interrupt_++, &header,
                                           event.data() + at, static_cast<int>(count));
    }
  }
}

}  // namespace virmo::testing_support
