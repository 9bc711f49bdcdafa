// SPDX-License-Identifier: Apache-2.0
#include "services/ovf/signature.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include <memory>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"

namespace virmo::ovf {
namespace {

using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

constexpr size_t kMaxCertificates = 64;
constexpr int64_t kChunk = 1 << 20;

absl::Status Refuse(absl::string_view cause) {
  return Error(v1::ErrorInfo::REASON_PACKAGE_INVALID, absl::StrCat("the signature ", cause),
               {{"cause", std::string(cause)}});
}

std::vector<Certificate> ReadCertificates(const std::string& pem) {
  std::vector<Certificate> certificates;
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  while (bio != nullptr && certificates.size() < kMaxCertificates) {
    // No password is asked for: a certificate is not encrypted.
    X509* certificate = PEM_read_bio_X509(
        bio.get(), nullptr, [](char*, int, int, void*) { return 0; }, nullptr);
    if (certificate == nullptr) break;
    certificates.emplace_back(certificate, X509_free);
  }
  return certificates;
}

absl::Status CheckChain(const std::vector<Certificate>& chain, const std::string& anchors) {
  const std::vector<Certificate> trusted = ReadCertificates(anchors);
  if (trusted.empty()) return Refuse("cannot be checked: there is no trusted certificate");
  const std::unique_ptr<X509_STORE, decltype(&X509_STORE_free)> store(X509_STORE_new(),
                                                                      X509_STORE_free);
  const std::unique_ptr<X509_STORE_CTX, decltype(&X509_STORE_CTX_free)> context(
      X509_STORE_CTX_new(), X509_STORE_CTX_free);
  const std::unique_ptr<STACK_OF(X509), void (*)(STACK_OF(X509)*)> between(
      sk_X509_new_null(), [](STACK_OF(X509) * stack) { sk_X509_free(stack); });
  if (store == nullptr || context == nullptr || between == nullptr) return Refuse("needs memory");
  for (const Certificate& anchor : trusted) X509_STORE_add_cert(store.get(), anchor.get());
  // An anchor may be an intermediate, or the signer's own certificate.
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN);
  for (size_t i = 1; i < chain.size(); ++i) sk_X509_push(between.get(), chain[i].get());
  if (X509_STORE_CTX_init(context.get(), store.get(), chain[0].get(), between.get()) != 1) {
    return Refuse("cannot be checked");
  }
  if (X509_verify_cert(context.get()) == 1) return absl::OkStatus();
  return Refuse(
      absl::StrCat("is by a certificate that is not trusted: ",
                   X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()))));
}

absl::Status CheckOctets(const ByteSource& data, const Signature& signature, X509* certificate) {
  EVP_PKEY* key = X509_get0_pubkey(certificate);
  const EVP_MD* digest = EVP_get_digestbyname(signature.algorithm.c_str());
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        EVP_MD_CTX_free);
  if (key == nullptr || digest == nullptr || context == nullptr ||
      EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, key) != 1) {
    return Refuse(absl::StrCat("is of a kind that is not known (", signature.algorithm, ")"));
  }
  for (int64_t at = 0; at < data.size(); at += kChunk) {
    ASSIGN_OR_RETURN(const std::string piece, data.Read(at, kChunk));
    EVP_DigestVerifyUpdate(context.get(), piece.data(), piece.size());
  }
  const int verified = EVP_DigestVerifyFinal(
      context.get(), reinterpret_cast<const unsigned char*>(signature.octets.data()),
      signature.octets.size());
  return verified == 1 ? absl::OkStatus() : Refuse("does not fit what was signed");
}

}  // namespace

absl::Status CheckSignature(const ByteSource& data, const Signature& signature,
                            const std::string& anchors) {
  const std::vector<Certificate> chain = ReadCertificates(signature.certificates);
  if (chain.empty()) return Refuse("comes without a certificate");
  if (!anchors.empty()) {
    if (signature.algorithm == "SHA1") return Refuse("is over SHA-1, which is not accepted");
    RETURN_IF_ERROR(CheckChain(chain, anchors));
  }
  return CheckOctets(data, signature, chain[0].get());
}

absl::StatusOr<Signature> ReadCertificateFile(absl::string_view octets,
                                              const std::string& manifest_name) {
  Signature signature;
  const size_t end = octets.find('\n');
  const absl::string_view line = octets.substr(0, end);
  const size_t open = line.find('('), close = line.rfind(')');
  if (end == absl::string_view::npos || open == absl::string_view::npos ||
      close == absl::string_view::npos || close < open) {
    return Refuse("does not begin with a line `SHA256(name.mf)= hex`");
  }
  signature.algorithm = absl::AsciiStrToUpper(absl::StripAsciiWhitespace(line.substr(0, open)));
  const absl::string_view name =
      absl::StripAsciiWhitespace(line.substr(open + 1, close - open - 1));
  if (name != manifest_name) {
    return Refuse(absl::StrCat("is over '", std::string(name), "', not over the manifest '",
                               manifest_name, "'"));
  }
  absl::string_view hex = absl::StripAsciiWhitespace(line.substr(close + 1));
  if (!absl::ConsumePrefix(&hex, "=")) return Refuse("has no `=`");
  hex = absl::StripAsciiWhitespace(hex);
  for (const char c : hex) {
    if (!absl::ascii_isxdigit(c)) return Refuse("is not in hex");
  }
  if (hex.size() % 2 != 0 || hex.empty() || hex.size() > 8192) return Refuse("has a wrong length");
  signature.octets = absl::HexStringToBytes(hex);
  signature.certificates = std::string(octets.substr(end + 1));
  return signature;
}

std::string SignerOf(const Signature& signature) {
  const std::vector<Certificate> chain = ReadCertificates(signature.certificates);
  if (chain.empty()) return "";
  char text[256] = "";
  X509_NAME_oneline(X509_get_subject_name(chain[0].get()), text, sizeof(text));
  return text;
}

}  // namespace virmo::ovf
