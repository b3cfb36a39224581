// SPDX-License-Identifier: MIT
#include <ydistill/train/report/page.h>

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include <ydistill/train/report/page_files.h>
#include <ydistill/train/report/panels.h>

namespace ydistill {
namespace {

/// Makes JSON safe inside a script element: `<` occurs only inside strings, where it can be written
/// as an escape, so nothing in the JSON can end the element.
std::string without_tags(const std::string& json) {
  std::string text;
  text.reserve(json.size());
  for (const char c : json) {
    if (c == '<') {
      text += "\\u003c";
    } else {
      text += c;
    }
  }
  return text;
}

/// The Content-Security-Policy guarantees that the page loads nothing.
std::string page(const char* title, const std::string& json, const char* script) {
  std::string html = fmt::format(
      R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>{}</title>
<style>
)",
      title);
  html += kPageCss;
  html += "</style>\n</head>\n<body>\n<noscript>This page needs JavaScript.</noscript>\n";
  html += "<script type=\"application/json\" id=\"record\">" + without_tags(json) + "</script>\n";
  html += std::string("<script>\n") + kChartsJs + script + "</script>\n</body>\n</html>\n";
  return html;
}

nlohmann::ordered_json panels_json(const std::vector<Panel>& panels) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Panel& panel : panels) {
    nlohmann::ordered_json lines = nlohmann::ordered_json::array();
    for (const Panel::Line& line : panel.lines) {
      lines.push_back({{"name", line.name}, {"column", line.column}});
    }
    list.push_back({{"title", panel.title}, {"lines", lines}});
  }
  return list;
}

}  // namespace

std::string report_page(const RunRecord& record) {
  const std::string panels = panels_json(panels_of(std::span(&record.results, 1))).dump();
  return page("ydistill run", R"({"record":)" + to_json(record) + R"(,"panels":)" + panels + "}",
              kReportJs);
}

std::string compare_page(const Comparison& comparison) {
  std::vector<EpochTable> tables;
  for (const ComparedRun& run : comparison.runs) tables.push_back(run.results);
  const std::string panels = panels_json(panels_of(tables)).dump();
  return page("ydistill comparison",
              R"({"comparison":)" + to_json(comparison, /*with_results=*/true) + R"(,"panels":)" +
                  panels + "}",
              kCompareJs);
}

}  // namespace ydistill
