// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/ovf/byte_source.h"

namespace virmo::ovf {

// A signature by the key of an X.509 certificate over octets, as `openssl dgst -sha256 -sign KEY`
// makes it: RSA (PKCS #1) or ECDSA. It is what OVF's .cert files hold, and so what we take for
// plain images too: one form, one trust anchor, made by a tool that everybody has.
struct Signature {
  std::string algorithm = "SHA256";  // `SHA1`, `SHA256`, `SHA512`.
  std::string octets;
  std::string certificates;  // PEM: the signer's first, then those between it and the anchor.
};

// Whether `data` is what was signed, and, if `anchors` (PEM) is not empty, whether the certificate
// is valid now and leads to one of them. PACKAGE_INVALID with the cause otherwise. SHA-1 is not
// accepted against anchors.
absl::Status CheckSignature(const ByteSource& data, const Signature& signature,
                            const std::string& anchors);

// Takes a .cert file apart (DSP0243 §5.1): `SHA256(name.mf)= hex`, then PEM.
absl::StatusOr<Signature> ReadCertificateFile(absl::string_view octets,
                                              const std::string& manifest_name);

// The subject of the signer's certificate, for people; empty if it cannot be read.
std::string SignerOf(const Signature& signature);

}  // namespace virmo::ovf
