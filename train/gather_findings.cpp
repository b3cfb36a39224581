// SPDX-License-Identifier: MIT
#include <ydistill/train/gather_findings.h>

#include <set>
#include <sstream>
#include <string>

namespace ydistill {
namespace {

/// Neither paths nor messages contain a NUL.
constexpr char kEnd = '\0';

std::string bytes_of(const std::vector<Finding>& findings) {
  std::string bytes;
  for (const Finding& f : findings) {
    for (const std::string& field : {f.file.string(), std::to_string(f.line), f.reason, f.effect}) {
      bytes += field + kEnd;
    }
  }
  return bytes;
}

std::vector<Finding> findings_of(const std::string& bytes) {
  std::vector<Finding> findings;
  std::istringstream stream(bytes);
  std::string file, line, reason, effect;
  while (std::getline(stream, file, kEnd) && std::getline(stream, line, kEnd) &&
         std::getline(stream, reason, kEnd) && std::getline(stream, effect, kEnd)) {
    findings.push_back({file, std::stoll(line), reason, effect});
  }
  return findings;
}

}  // namespace

std::vector<Finding> gather_findings(Exchange& exchange, const std::vector<Finding>& own) {
  if (exchange.size() == 1) return own;
  std::vector<Finding> all;
  std::set<std::string> known;
  for (const std::string& bytes : exchange.gather(bytes_of(own))) {
    for (Finding& finding : findings_of(bytes)) {
      if (known.insert(finding.str()).second) all.push_back(std::move(finding));
    }
  }
  return all;
}

}  // namespace ydistill
