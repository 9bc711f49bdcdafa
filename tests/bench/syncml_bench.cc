// SPDX-License-Identifier: Apache-2.0
// What a SyncML message costs, beside libxml2 (DOM and SAX) and libwbxml on the same message in the
// same run. The others only make a tree of their own, or nothing; ours makes a checked Message.
// Ends with a table of ratios and of what WBXML saves.
#include <benchmark/benchmark.h>
#include <libxml/parser.h>
#include <libxml/tree.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/syncml/codec.h"
#include "services/syncml/sample_messages.h"

#ifdef VIRMO_HAVE_LIBWBXML
extern "C" {
#include <wbxml/wbxml.h>
}
#endif

namespace virmo::syncml {
namespace {

// A server's package of 19 commands, such as follows a change of a VM's resources: about 4 KB.
Message Package() {
  Message message;
  message.header = {.session_id = "1F",
                    .msg_id = "2",
                    .target = {.uri = "urn:uuid:6f1c1f0e-0000-4000-8000-000000000001"},
                    .source = {.uri = "https://virmo.example/dm", .name = "virmo-server"}};
  message.header.cred = Cred{.meta = {.format = "b64", .type = "syncml:auth-md5"},
                             .data = "28VEUorkC0Iy6PUWFw5OKQ=="};
  message.header.meta = {.max_msg_size = 65536, .max_obj_size = 1048576};
  message.body = {MakeHeaderStatus("1", message.header, StatusCode::kAuthenticationAccepted)};
  for (int id = 2; id < 20; ++id) {
    Command& command = message.body.emplace_back();
    command.kind = id % 3 == 0 ? CommandKind::kGet : CommandKind::kReplace;
    command.cmd_id = absl::StrCat(id);
    command.items = {MakeTargetItem(
        absl::StrCat("./VirMO/VMs/3b6f9c4e-8a51-4c51-9d3c-3c0a2f7d1e10/Resources/Node", id))};
    if (command.kind == CommandKind::kGet) continue;
    command.items[0].meta = {.format = "int", .type = "text/plain"};
    command.items[0].data = absl::StrCat(id * 512);
  }
  message.final = true;
  return message;
}

std::string Encoded(Encoding encoding) { return Encode(Package(), encoding); }

void BM_Decode(benchmark::State& state, Encoding encoding) {
  const std::string octets = Encoded(encoding);
  for (auto _ : state) {
    auto message = Decode(octets, encoding);
    benchmark::DoNotOptimize(message);
  }
  state.counters["octets"] = static_cast<double>(octets.size());
}
BENCHMARK_CAPTURE(BM_Decode, xml, Encoding::kXml);
BENCHMARK_CAPTURE(BM_Decode, wbxml, Encoding::kWbxml);

void BM_Encode(benchmark::State& state, Encoding encoding) {
  const Message message = Package();
  for (auto _ : state) {
    std::string octets = Encode(message, encoding);
    benchmark::DoNotOptimize(octets);
  }
}
BENCHMARK_CAPTURE(BM_Encode, xml, Encoding::kXml);
BENCHMARK_CAPTURE(BM_Encode, wbxml, Encoding::kWbxml);

xmlDocPtr ParseWithLibxml2(const std::string& xml) {
  return xmlReadMemory(xml.data(), static_cast<int>(xml.size()), nullptr, nullptr, XML_PARSE_NONET);
}

void BM_Libxml2Dom_Decode(benchmark::State& state) {
  const std::string xml = Encoded(Encoding::kXml);
  for (auto _ : state) {
    xmlDocPtr document = ParseWithLibxml2(xml);
    benchmark::DoNotOptimize(document);
    xmlFreeDoc(document);
  }
}
BENCHMARK(BM_Libxml2Dom_Decode);

// Without making anything of the events.
void BM_Libxml2Sax_Decode(benchmark::State& state) {
  const std::string xml = Encoded(Encoding::kXml);
  xmlSAXHandler handler = {};
  handler.startElement = [](void* count, const xmlChar*, const xmlChar**) {
    ++*static_cast<size_t*>(count);
  };
  handler.characters = [](void* count, const xmlChar*, int size) {
    *static_cast<size_t*>(count) += static_cast<size_t>(size);
  };
  for (auto _ : state) {
    size_t count = 0;
    xmlSAXUserParseMemory(&handler, &count, xml.data(), static_cast<int>(xml.size()));
    benchmark::DoNotOptimize(count);
  }
}
BENCHMARK(BM_Libxml2Sax_Decode);

void BM_Libxml2Dom_Encode(benchmark::State& state) {
  xmlDocPtr document = ParseWithLibxml2(Encoded(Encoding::kXml));
  for (auto _ : state) {
    xmlChar* text = nullptr;
    int size = 0;
    xmlDocDumpMemory(document, &text, &size);
    benchmark::DoNotOptimize(text);
    xmlFree(text);
  }
  xmlFreeDoc(document);
}
BENCHMARK(BM_Libxml2Dom_Encode);

// From one encoding to the other, which is all that libwbxml offers.
void BM_Convert(benchmark::State& state, Encoding from, Encoding to) {
  const std::string octets = Encoded(from);
  for (auto _ : state) {
    std::string converted = Encode(Decode(octets, from).value(), to);
    benchmark::DoNotOptimize(converted);
  }
}
BENCHMARK_CAPTURE(BM_Convert, wbxml_to_xml, Encoding::kWbxml, Encoding::kXml);
BENCHMARK_CAPTURE(BM_Convert, xml_to_wbxml, Encoding::kXml, Encoding::kWbxml);

#ifdef VIRMO_HAVE_LIBWBXML

WB_UTINY* Octets(std::string& text) { return reinterpret_cast<WB_UTINY*>(text.data()); }

void BM_Libwbxml_Convert_wbxml_to_xml(benchmark::State& state) {
  std::string wbxml = Encoded(Encoding::kWbxml);
  for (auto _ : state) {
    WBXMLConvWBXML2XML* converter = nullptr;
    wbxml_conv_wbxml2xml_create(&converter);
    wbxml_conv_wbxml2xml_set_gen_type(converter, WBXML_GEN_XML_COMPACT);
    WB_UTINY* xml = nullptr;
    WB_ULONG size = 0;
    const WBXMLError error = wbxml_conv_wbxml2xml_run(
        converter, Octets(wbxml), static_cast<WB_ULONG>(wbxml.size()), &xml, &size);
    std::free(xml);
    wbxml_conv_wbxml2xml_destroy(converter);
    if (error != WBXML_OK) return state.SkipWithError("libwbxml cannot read it");
  }
}
BENCHMARK(BM_Libwbxml_Convert_wbxml_to_xml);

void BM_Libwbxml_Convert_xml_to_wbxml(benchmark::State& state) {
  std::string xml = Encoded(Encoding::kXml);
  for (auto _ : state) {
    WBXMLConvXML2WBXML* converter = nullptr;
    wbxml_conv_xml2wbxml_create(&converter);
    wbxml_conv_xml2wbxml_enable_preserve_whitespaces(converter);
    WB_UTINY* wbxml = nullptr;
    WB_ULONG size = 0;
    const WBXMLError error = wbxml_conv_xml2wbxml_run(
        converter, Octets(xml), static_cast<WB_ULONG>(xml.size()), &wbxml, &size);
    std::free(wbxml);
    wbxml_conv_xml2wbxml_destroy(converter);
    if (error != WBXML_OK) return state.SkipWithError("libwbxml cannot read it");
  }
}
BENCHMARK(BM_Libwbxml_Convert_xml_to_wbxml);

#endif

// Keeps the times for the table.
class Reporter : public benchmark::ConsoleReporter {
 public:
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      const bool counts = !run.error_occurred && run.run_type == Run::RT_Iteration;
      if (counts) times_[run.benchmark_name()] = run.GetAdjustedCPUTime();
    }
    ConsoleReporter::ReportRuns(runs);
  }

  // `ours` as a part of `theirs`; nothing if one of them did not run.
  void PrintRatio(const std::string& what, const std::string& ours,
                  const std::string& theirs) const {
    const auto a = times_.find(ours);
    const auto b = times_.find(theirs);
    if (a == times_.end() || b == times_.end()) return;
    std::printf("%-44s %10.0f %10.0f %8.2f\n", what.c_str(), a->second, b->second,
                a->second / b->second);
  }

 private:
  std::map<std::string, double> times_;
};

void PrintTable(const Reporter& reporter) {
  std::printf("\n%-44s %10s %10s %8s\n", "CPU time", "ours, ns", "theirs, ns", "ratio");
  reporter.PrintRatio("XML decode / libxml2 DOM", "BM_Decode/xml", "BM_Libxml2Dom_Decode");
  reporter.PrintRatio("XML decode / libxml2 SAX, nothing made", "BM_Decode/xml",
                      "BM_Libxml2Sax_Decode");
  reporter.PrintRatio("XML encode / libxml2 DOM", "BM_Encode/xml", "BM_Libxml2Dom_Encode");
  reporter.PrintRatio("WBXML to XML / libwbxml", "BM_Convert/wbxml_to_xml",
                      "BM_Libwbxml_Convert_wbxml_to_xml");
  reporter.PrintRatio("XML to WBXML / libwbxml", "BM_Convert/xml_to_wbxml",
                      "BM_Libwbxml_Convert_xml_to_wbxml");
  std::printf("\n%-44s %10s %10s %8s\n", "octets", "WBXML", "XML", "ratio");
  const auto print_size = [](const char* what, const Message& message) {
    const size_t wbxml = Encode(message, Encoding::kWbxml).size();
    const size_t xml = Encode(message, Encoding::kXml).size();
    std::printf("%-44s %10zu %10zu %7.2f%%\n", what, wbxml, xml,
                100.0 * static_cast<double>(wbxml) / static_cast<double>(xml));
  };
  print_size("a package of 19 commands", Package());
  print_size("package 1 with an alert", Decode(kPackage1, Encoding::kXml).value());
}

}  // namespace
}  // namespace virmo::syncml

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  virmo::syncml::Reporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  virmo::syncml::PrintTable(reporter);
  return 0;
}
