// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "services/syncml/wbxml_parser.h"
#include "services/syncml/xml_printer.h"

namespace virmo::syncml {

// Shows a WBXML document through an XmlPrinter: known or not, each element has a name, and octets
// that are no text are base64.
class WbxmlPrinter : public WbxmlHandler {
 public:
  WbxmlPrinter(const Limits& limits, XmlPrinter& out)
      : limits_(limits), room_(limits.max_bytes * kMaxGrowth), out_(out) {}

  absl::Status OnDialect(WbxmlDialect dialect) override;
  absl::Status OnStart(const WbxmlElement& element) override;
  absl::Status OnText(absl::string_view text) override;
  absl::Status OnOctets(absl::string_view octets) override;
  absl::Status OnEnd() override;
  bool wants_text() const override { return true; }

  const std::string& root() const { return root_; }
  bool has_df_properties() const { return has_df_properties_; }

 private:
  static constexpr size_t kMaxGrowth = 8;

  struct Open {
    std::string name;
    int space;  // 0 SyncML, 1 MetInf, 2 DDF
  };

  std::string Attributes(int space) const;
  void NoteFormat();
  bool IsInside(absl::string_view name) const;
  bool ShowDocument(absl::string_view octets);

  const Limits& limits_;
  size_t room_;  // for what documents within Data are shown as
  XmlPrinter& out_;
  WbxmlDialect dialect_ = WbxmlDialect::kUnknown;
  std::vector<Open> open_;
  std::string root_;
  std::string text_;            // of a Format element
  std::string command_format_;  // what Meta/Format of the command, and of the item or node, say
  std::string format_;
  bool has_df_properties_ = false;
};

}  // namespace virmo::syncml
