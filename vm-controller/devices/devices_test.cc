// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/runtime/uuid.h"
#include "vm-controller/devices/classifier.h"
#include "vm-controller/devices/device_map.h"
#include "vm-controller/devices/host_devices.h"
#include "vm-controller/devices/peripheral_rules.h"
#include "vm-controller/sharing/packet_filter.h"

namespace virmo::vm_controller {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;
using v1::HostDevice;

HostDevice Usb(const std::string& vendor, const std::string& product,
               const std::vector<std::array<int, 3>>& interfaces) {
  HostDevice device;
  device.set_vendor_id(vendor);
  device.set_product_id(product);
  device.set_present(true);
  for (const auto& [interface_class, subclass, protocol] : interfaces) {
    HostDevice::Interface* added = device.add_interfaces();
    added->set_interface_class(interface_class);
    added->set_subclass(subclass);
    added->set_protocol(protocol);
  }
  return device;
}

v1::EffectivePolicy Policy(const std::vector<v1::PeripheralClass>& enabled,
                           bool exclusive = false) {
  v1::EffectivePolicy policy;
  for (const v1::PeripheralClass one : enabled) {
    v1::PeripheralRule* rule = policy.add_peripherals();
    rule->set_peripheral_class(one);
    rule->set_enabled(true);
    rule->set_exclusive(exclusive);
  }
  return policy;
}

TEST(ClassifierTest, TellsAClassByTheInterfacesOfADevice) {
  EXPECT_THAT(ClassifyUsb(Usb("0781", "5567", {{0x08, 0x06, 0x50}})),
              ElementsAre(v1::PERIPHERAL_CLASS_USB_STORAGE));
  EXPECT_THAT(ClassifyUsb(Usb("0a12", "0001", {{0xe0, 0x01, 0x01}, {0xe0, 0x01, 0x01}})),
              ElementsAre(v1::PERIPHERAL_CLASS_BLUETOOTH));
  EXPECT_THAT(ClassifyUsb(Usb("1546", "01a8", {{0x02, 0x02, 0x01}, {0x0a, 0, 0}})),
              ElementsAre(v1::PERIPHERAL_CLASS_GPS));
  EXPECT_THAT(ClassifyUsb(Usb("046d", "c31c", {{0x03, 0x01, 0x01}})),
              ElementsAre(v1::PERIPHERAL_CLASS_OTHER_USB));
  EXPECT_THAT(ClassifyUsb(Usb("1234", "5678", {})), ElementsAre(v1::PERIPHERAL_CLASS_OTHER_USB))
      << "never nothing";
}

TEST(ClassifierTest, OfACompositeDeviceEveryClassCounts) {
  EXPECT_THAT(ClassifyUsb(Usb("046d", "0825", {{0x0e, 1, 0}, {0x01, 1, 0}, {0x08, 6, 0x50}})),
              UnorderedElementsAre(v1::PERIPHERAL_CLASS_CAMERA, v1::PERIPHERAL_CLASS_MICROPHONE,
                                   v1::PERIPHERAL_CLASS_USB_STORAGE));
  EXPECT_THAT(ClassifyUsb(Usb("1546", "01a8", {{0x02, 2, 1}, {0x08, 6, 0x50}})),
              UnorderedElementsAre(v1::PERIPHERAL_CLASS_GPS, v1::PERIPHERAL_CLASS_USB_STORAGE))
      << "a receiver that hides a stick";
}

TEST(PeripheralRulesTest, ADeviceIsGivenIfAllItsClassesAre) {
  HostDevice camera;
  camera.add_classes(v1::PERIPHERAL_CLASS_CAMERA);
  camera.add_classes(v1::PERIPHERAL_CLASS_MICROPHONE);
  EXPECT_FALSE(GivesDevice(Policy({}), camera));
  EXPECT_FALSE(GivesDevice(Policy({v1::PERIPHERAL_CLASS_CAMERA}), camera));
  EXPECT_TRUE(
      GivesDevice(Policy({v1::PERIPHERAL_CLASS_CAMERA, v1::PERIPHERAL_CLASS_MICROPHONE}), camera));
  EXPECT_FALSE(GivesDevice(Policy({v1::PERIPHERAL_CLASS_CAMERA}), HostDevice()));
}

TEST(PeripheralRulesTest, AnExceptedDeviceHasTheOppositeOfWhatTheRuleSays) {
  HostDevice stick = Usb("0781", "5567", {});
  stick.set_serial("S1");
  stick.add_classes(v1::PERIPHERAL_CLASS_USB_STORAGE);
  v1::EffectivePolicy policy = Policy({v1::PERIPHERAL_CLASS_USB_STORAGE});
  policy.mutable_peripherals(0)->add_exceptions("0781:5567:S1");
  EXPECT_FALSE(GivesDevice(policy, stick));
  policy.mutable_peripherals(0)->set_enabled(false);
  EXPECT_TRUE(GivesDevice(policy, stick));
  stick.set_serial("S2");
  EXPECT_FALSE(GivesDevice(policy, stick));
  policy.mutable_peripherals(0)->add_exceptions("0781:5567");
  EXPECT_TRUE(GivesDevice(policy, stick));
}

TEST(PeripheralRulesTest, AnExclusiveClaimComesBeforeTheHolderAndASharedDeviceGoesToAll) {
  HostDeviceRecord record;
  record.device.set_present(true);
  record.device.add_classes(v1::PERIPHERAL_CLASS_GPS);
  std::map<std::string, PeripheralClaim> claims;
  claims["a"] = {Policy({v1::PERIPHERAL_CLASS_GPS}), true, false};
  claims["b"] = {Policy({v1::PERIPHERAL_CLASS_GPS}), true, false};
  claims["c"] = {Policy({}), true, false};
  EXPECT_THAT(HandOut(record, claims, {"b"}), ElementsAre("b"));
  EXPECT_THAT(HandOut(record, claims, {}), ElementsAre("a"));
  record.spec.shareable = true;
  EXPECT_THAT(HandOut(record, claims, {"b"}), ElementsAre("a", "b"));
  claims["a"].policy = Policy({v1::PERIPHERAL_CLASS_GPS}, true);
  EXPECT_THAT(HandOut(record, claims, {"b"}), ElementsAre("a"));
  claims["a"].locked = true;
  EXPECT_THAT(HandOut(record, claims, {"a"}), ElementsAre("b"));
  record.device.set_present(false);
  EXPECT_THAT(HandOut(record, claims, {"b"}), ElementsAre());
}

TEST(DeviceMapTest, EntriesThatMakeNoSenseAreRefusedByName) {
  config::v1::DeviceMap map;
  config::v1::DeviceMap::Entry& entry = *map.add_entries();
  entry.set_id("gps");
  entry.add_classes(v1::PERIPHERAL_CLASS_GPS);
  EXPECT_THAT(std::string(CheckDeviceMap(map).message()), HasSubstr("gps"));
  entry.set_bus(HostDevice::BUS_USB_REDIRECTED);
  EXPECT_FALSE(CheckDeviceMap(map).ok()) << "no path";
  entry.set_path("relative");
  EXPECT_FALSE(CheckDeviceMap(map).ok());
  entry.set_path("/run/gps");
  EXPECT_TRUE(CheckDeviceMap(map).ok());
  *map.add_entries() = entry;
  EXPECT_FALSE(CheckDeviceMap(map).ok()) << "twice";
}

class HostDevicesTest : public testing::Test {
 protected:
  HostDevicesTest() : folder_(std::filesystem::path(testing::TempDir()) / NewUuid()) {
    std::filesystem::create_directories(folder_ / "bus/usb/devices");
  }
  ~HostDevicesTest() override { std::filesystem::remove_all(folder_); }

  void Plug(const std::string& port, const std::string& vendor,
            const std::string& interface_class) {
    const auto device = folder_ / "bus/usb/devices" / port;
    std::filesystem::create_directories(device / (port + ":1.0"));
    std::ofstream(device / "idVendor") << vendor << "\n";
    std::ofstream(device / "idProduct") << "0001\n";
    std::ofstream(device / "serial") << "S1\n";
    std::ofstream(device / "busnum") << "1\n";
    std::ofstream(device / "devnum") << "7\n";
    std::ofstream(device / (port + ":1.0") / "bInterfaceClass") << interface_class << "\n";
  }

  const std::filesystem::path folder_;
};

TEST_F(HostDevicesTest, UsbDevicesAreListedHubsAreNotAndTheMapKnowsBetter) {
  Plug("1-2.3", "0781", "08");
  Plug("1-1", "1d6b", "09");
  HostDevices::Options options;
  options.sysfs = folder_.string();
  config::v1::DeviceMap::Entry& entry = *options.map.add_entries();
  entry.set_id("company-stick");
  entry.set_match("0781:0001:S1");
  entry.add_classes(v1::PERIPHERAL_CLASS_MEMORY_CARD);
  HostDevices devices(options);
  const std::vector<HostDeviceRecord> all = devices.List();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].device.name(), "hostDevices/usb-1-2-3");
  EXPECT_EQ(all[0].device.map_entry(), "company-stick");
  EXPECT_THAT(all[0].device.classes(), ElementsAre(v1::PERIPHERAL_CLASS_MEMORY_CARD));
  EXPECT_EQ(all[0].spec.usb_device, 7);
}

TEST_F(HostDevicesTest, AWatcherHearsOfComingAndGoing) {
  HostDevices::Options options;
  options.sysfs = folder_.string();
  config::v1::DeviceMap::Entry& entry = *options.map.add_entries();
  entry.set_id("card");
  entry.set_bus(HostDevice::BUS_BLOCK);
  entry.set_path((folder_ / "card.img").string());
  entry.add_classes(v1::PERIPHERAL_CLASS_MEMORY_CARD);
  HostDevices devices(options);
  devices.Start([] {});
  using Subscription = Broadcast<HostDevices::Event>::Subscription;
  std::unique_ptr<Subscription> subscription;
  const std::vector<HostDevice> first = devices.Watch(&subscription);
  ASSERT_EQ(first.size(), 1u);
  EXPECT_FALSE(first[0].present());
  std::ofstream(folder_ / "card.img") << "card";
  HostDevices::Event event;
  ASSERT_EQ(subscription->Next(absl::Seconds(30), &event), Subscription::State::kEvent);
  EXPECT_TRUE(event.changed().present());
  std::filesystem::remove(folder_ / "card.img");
  ASSERT_EQ(subscription->Next(absl::Seconds(30), &event), Subscription::State::kEvent);
  EXPECT_FALSE(event.changed().present());
  devices.Stop();
}

TEST(PacketFilterTest, OnlyWhatIsAllowedPassesBetweenGuests) {
  const std::string none = PacketFilterRules({});
  EXPECT_THAT(none, HasSubstr("iifname \"vio*\" oifname \"vio*\" drop"));
  EXPECT_THAT(none, ::testing::Not(HasSubstr("elements")));
  const std::string one = PacketFilterRules({{"vio1", "vio2"}});
  EXPECT_THAT(one,
              HasSubstr("set flows { type ifname . ifname; elements = { \"vio1\" . \"vio2\" }"));
  EXPECT_THAT(one, HasSubstr("elements = { \"vio1\" . \"vio2\", \"vio2\" . \"vio1\" }"));
}

}  // namespace
}  // namespace virmo::vm_controller
