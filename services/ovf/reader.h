// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "services/ovf/descriptor.h"
#include "services/ovf/vocabulary.h"

namespace virmo::ovf {

// What the readers of a descriptor's parts share. Internal to this folder.
class ReaderContext {
 public:
  ReaderContext(const ReadOptions& options, Findings& findings)
      : options_(options), findings_(findings) {}

  const ReadOptions& options() const { return options_; }

  void Fault(const Element& at, absl::string_view what, FaultKind kind = FaultKind::kInvalid) const;
  void Warn(const Element& at, absl::string_view what) const;

  // A part that we do not understand: a fault if it is required, else a warning. Whether it is to
  // be kept for the export.
  bool Skip(const Element& part, absl::string_view what = "is not understood") const;

  // The text of an element in the wanted language (ovf:msgid), else as it stands.
  std::string Text(const Element& element) const;
  std::string ChildText(const Element& element, absl::string_view child) const;

  // The Strings of an envelope.
  void ReadStrings(const Element& envelope);

  // Of a required attribute; a fault if it is missing or empty.
  std::string Require(const Element& element, absl::string_view attribute) const;

  // A number in an attribute or text; `fallback` and a fault if it is no number.
  int64_t Number(const Element& at, const std::string& text, int64_t fallback) const;

  // Whether what carries this ovf:configuration counts for the chosen deployment option.
  bool IsChosen(const Element& element) const;
  void set_deployment_option(const std::string& id) { deployment_option_ = id; }
  const std::string& deployment_option() const { return deployment_option_; }

 private:
  void ReadMessages(const Element& strings);

  const ReadOptions& options_;
  Findings& findings_;
  std::string deployment_option_;
  std::map<std::string, std::string> messages_;
};

void ReadHardware(const ReaderContext& context, const Element& section,
                  const Descriptor& descriptor, VirtualSystem& system);
Product ReadProduct(const ReaderContext& context, const Element& section);
void ReadEula(const ReaderContext& context, const Element& section, const std::string& system,
              Descriptor& descriptor);
void ReadReferences(const ReaderContext& context, const Element& references,
                    Descriptor& descriptor);
void ReadDisks(const ReaderContext& context, const Element& section, Descriptor& descriptor);
void ReadNetworks(const ReaderContext& context, const Element& section, Descriptor& descriptor);
void ReadDeploymentOptions(ReaderContext& context, const Element& envelope, Descriptor& descriptor);

// Puts the content, one virtual system or a collection, into `descriptor`.
void ReadContent(const ReaderContext& context, const Element& content, Descriptor& descriptor);

}  // namespace virmo::ovf
