// SPDX-License-Identifier: Apache-2.0
// Our own controller passes the suite that any controller must pass.
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "tests/integration/vm_controller_fixture.h"
#include "tests/support/child.h"
#include "vm-controller/image/digest.h"

namespace virmo::vm_controller {
namespace {

class ControllerConformanceTest : public VmControllerFixture {
 protected:
  void RunSuite() {
    const testing_support::Outcome outcome = testing_support::RunToEnd(
        {VIRMO_CONFORMANCE, absl::StrCat("--address=unix:", directory_, "/vmc.sock"),
         absl::StrCat("--package_uri=file://", VIRMO_GUEST_IMAGE),
         absl::StrCat("--package_sha256=", FileSha256(VIRMO_GUEST_IMAGE).value())});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  }
};

TEST_F(ControllerConformanceTest, OverQemu) { RunSuite(); }

class OverTestDriver : public ControllerConformanceTest {
 protected:
  std::string HypervisorUri() override { return "test:///default"; }
};

TEST_F(OverTestDriver, OverTheTestDriver) { RunSuite(); }

}  // namespace
}  // namespace virmo::vm_controller
