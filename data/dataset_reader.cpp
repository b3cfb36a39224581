// SPDX-License-Identifier: MIT
#include <ydistill/data/dataset_reader.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cmath>
#include <exception>
#include <iterator>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include <ydistill/data/image.h>
#include <ydistill/data/picture_list.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>
#include <ydistill/tensor/io/text_file.h>

namespace ydistill::reading {
namespace {

/// Name of a picture's real format if its suffix is of another one; else "".
std::string_view misnamed_format(const std::filesystem::path& picture, const ImageInfo& info) {
  const std::string suffix = lower_suffix(picture);
  switch (info.format) {
    case PictureFormat::kJpeg:
      return suffix == ".jpg" || suffix == ".jpeg" ? "" : "JPEG";
    case PictureFormat::kPng:
      return suffix == ".png" ? "" : "PNG";
    case PictureFormat::kBmp:
      return suffix == ".bmp" ? "" : "BMP";
  }
  return "";
}

}  // namespace

void PictureReport::drop_label(const std::filesystem::path& file, int64_t line,
                               std::string reason) {
  findings.push_back({file, line, std::move(reason), kLabelDropped});
  ++labels_dropped;
}

void PictureReport::drop_picture(const std::filesystem::path& file, int64_t line,
                                 std::string reason) {
  sample.reset();
  class_names.clear();
  findings.push_back({file, line, std::move(reason), kPictureDropped});
}

void open_sample(PictureReport& report, const std::filesystem::path& picture,
                 const std::filesystem::path& listed_in, int64_t line) {
  std::error_code error;
  if (!std::filesystem::exists(picture, error)) {
    report.drop_picture(listed_in, line,
                        fmt::format("there is no picture {}", printable(picture.string())));
    return;
  }
  ImageInfo info;
  try {
    info = probe_image(picture);
  } catch (const FileError& problem) {
    report.drop_picture(picture, 0, without_name(problem.what(), picture));
    return;
  }
  if (std::min(info.width, info.height) < kMinPictureSide) {
    report.drop_picture(picture, 0,
                        fmt::format("{}x{} pixels, expected at least {} per side", info.width,
                                    info.height, kMinPictureSide));
    return;
  }
  if (const std::string_view format = misnamed_format(picture, info); !format.empty()) {
    report.findings.push_back({picture, 0, fmt::format("is a {}, despite its name", format),
                               "kept, read by its content"});
  }
  report.sample = Sample{picture, info.width, info.height, {}, true};
}

bool add_box(PictureReport& report, int64_t class_id, double x1, double y1, double x2, double y2,
             const std::filesystem::path& file, int64_t line, std::string_view what) {
  const double width = double(report.sample->width), height = double(report.sample->height);
  const auto describe = [&](std::string_view problem) {
    return fmt::format("{}: box {:g} {:g} {:g} {:g} {}", what, x1, y1, x2, y2, problem);
  };
  if (!std::isfinite(x1) || !std::isfinite(y1) || !std::isfinite(x2) || !std::isfinite(y2)) {
    report.drop_label(file, line, describe("is not finite"));
    return false;
  }
  const double left = std::clamp(x1, 0.0, width), right = std::clamp(x2, 0.0, width);
  const double top = std::clamp(y1, 0.0, height), bottom = std::clamp(y2, 0.0, height);
  if (right <= left || bottom <= top) {
    report.drop_label(
        file, line,
        describe(x2 > x1 && y2 > y1 ? fmt::format("lies outside the picture of {}x{} pixels",
                                                  report.sample->width, report.sample->height)
                                    : "has no area"));
    return false;
  }
  report.sample->labels.push_back({class_id, (left + right) / 2 / width,
                                   (top + bottom) / 2 / height, (right - left) / width,
                                   (bottom - top) / height});
  return true;
}

void compare_size(PictureReport& report, double width, double height,
                  const std::filesystem::path& file, int64_t line) {
  const Sample& sample = *report.sample;
  if (width == double(sample.width) && height == double(sample.height)) return;
  report.findings.push_back(
      {file, line,
       fmt::format("says {:g}x{:g} pixels, {} has {}x{}", width, height,
                   printable(sample.image.filename().string()), sample.width, sample.height),
       kKept});
}

void for_each_picture(int64_t n, const std::function<void(int64_t)>& body,
                      const std::function<bool()>& stop) {
  const auto check_stop = [&stop] {
    if (stop && stop()) throw StoppedError("stopped while pictures were read");
  };
  check_stop();  // the others may leave the calling thread, which asks, no picture
  // Mostly waits for the disk, hence more threads than cores.
  const int64_t wanted = 2 * int64_t(std::max(1u, std::thread::hardware_concurrency()));
  const int64_t num_threads = std::min<int64_t>({n, wanted, 16});
  std::atomic<int64_t> next{0};
  std::mutex mutex;
  std::exception_ptr failure;
  const std::thread::id caller = std::this_thread::get_id();
  const auto work = [&] {
    const bool asks = std::this_thread::get_id() == caller;
    try {
      for (int64_t i = next++; i < n; i = next++) {
        if (asks) check_stop();
        body(i);
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      next = n;
    }
  };
  {
    std::vector<std::jthread> threads;
    try {
      for (int64_t i = 1; i < num_threads; ++i) threads.emplace_back(work);
    } catch (const std::system_error&) {
      // If no more threads can be started, the existing ones read all pictures.
    }
    work();
  }
  if (failure) std::rethrow_exception(failure);
}

Dataset assemble(const std::filesystem::path& source, std::vector<PictureReport> reports,
                 std::vector<std::string> names, std::vector<Finding> findings) {
  Dataset dataset;
  dataset.names = std::move(names);
  dataset.findings = std::move(findings);
  for (PictureReport& report : reports) {
    std::move(report.findings.begin(), report.findings.end(), std::back_inserter(dataset.findings));
    if (!report.sample) {
      ++dataset.pictures_dropped;
      continue;
    }
    dataset.labels_dropped += report.labels_dropped;
    dataset.labels_ignored += report.labels_ignored;
    dataset.samples.push_back(std::move(*report.sample));
  }
  if (!dataset.samples.empty()) return dataset;
  const auto first = std::find_if(dataset.findings.begin(), dataset.findings.end(),
                                  [](const Finding& f) { return f.effect == kPictureDropped; });
  if (first == dataset.findings.end()) {
    throw FileError("{}: no picture found, expected JPEG, PNG or BMP files",
                    printable(source.string()));
  }
  throw FileError("{}: no usable picture: {} dropped, the first: {}", printable(source.string()),
                  dataset.pictures_dropped, first->str());
}

std::string without_name(std::string message, const std::filesystem::path& file) {
  const std::string prefix = printable(file.string()) + ": ";
  if (message.starts_with(prefix)) message.erase(0, prefix.size());
  return message;
}

std::string read_text(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    throw FileError("{}: no such file", printable(path.string()));
  }
  if (!std::filesystem::is_regular_file(path, error)) {
    throw FileError("{}: not a file", printable(path.string()));
  }
  std::string text = read_text_file(path);
  if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);
  return text;
}

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n\f\v";
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

std::optional<double> parse_number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stopped != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::vector<Finding> of_other_classes(const std::vector<OtherClass>& others) {
  if (others.empty()) return {};
  const OtherClass& first = others.front();
  int64_t labels = 0;
  std::vector<std::string> list;
  for (const OtherClass& other : others) {
    labels += other.labels;
    list.push_back(fmt::format("{} ({})", printable(other.name, 40), other.labels));
  }
  const char* const effect = labels == 1      ? kLabelDropped
                             : first.line > 0 ? "labels dropped, the first is here"
                                              : "labels dropped";
  if (others.size() == 1) {
    const std::string of = labels == 1 ? "" : fmt::format(" of {} labels", labels);
    return {{first.file, first.line,
             fmt::format("class \"{}\"{} is not among the names", printable(first.name, 40), of),
             effect}};
  }
  return {{first.file, first.line,
           fmt::format("{} classes of {} labels are not among the names: {}", others.size(), labels,
                       printable_list(list)),
           effect}};
}

std::map<std::string, int64_t, std::less<>> ids_by_name(const std::vector<std::string>& names) {
  std::map<std::string, int64_t, std::less<>> ids;
  for (const std::string& name : names) {
    if (!ids.emplace(name, int64_t(ids.size())).second) {
      throw ValueError("names: \"{}\" is there twice", printable(name));
    }
  }
  return ids;
}

}  // namespace ydistill::reading
