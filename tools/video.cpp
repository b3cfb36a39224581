// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include <ydistill/data/video_stream.h>
#include <ydistill/tensor/io/text.h>
#include <ydistill/tools/command.h>
#include <ydistill/tools/detector_args.h>
#include <ydistill/tools/progress.h>
#include <ydistill/tools/stoppable_input.h>
#include <ydistill/tools/video_threads.h>

namespace ydistill::tools {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPipe = "-";

/// Standard output, or a new file.
class Sink {
 public:
  Sink(const std::string& path, const std::string& option)
      : is_pipe_(path == kPipe), name_(is_pipe_ ? "standard output" : printable(path)) {
    if (is_pipe_) return;
    std::error_code ignored;
    if (fs::is_regular_file(path, ignored)) {
      throw ConfigError("video: {} {}: already exists; choose another name", option, name_);
    }
    file_.open(path, std::ios::binary);
    if (!file_) throw FileError("{}: cannot be written", name_);
  }

  std::ostream& stream() { return is_pipe_ ? std::cout : file_; }
  /// Flushes the stream. throws FileError if that fails.
  void flush() {
    if (!stream().flush()) throw FileError("{}: cannot be written any more", name_);
  }

 private:
  bool is_pipe_;
  std::string name_;
  std::ofstream file_;
};

/// Seconds from the beginning; null if the stream does not give its frame rate.
nlohmann::ordered_json time_of(const VideoFormat& format, int64_t frame) {
  if (format.rate == 0) return nullptr;
  return double(frame) * double(format.rate_per) / double(format.rate);
}

struct VideoArgs {
  DetectorArgs detector;
  std::string source = kPipe, out, json;
};

/// Returns the exit code.
int detect_in_video(VideoArgs& args, StoppableInput& in, const std::string& name,
                    std::atomic<bool>& is_over) {
  VideoReader reader(in, name);
  const VideoFormat& format = reader.format();
  Detector detector = [&] {
    const Checkpoint checkpoint = load_weights(args.detector, "video");
    return Detector(checkpoint, args.detector.options);
  }();
  std::unique_ptr<Sink> video, boxes;
  if (!args.out.empty()) video = std::make_unique<Sink>(args.out, "--out");
  if (!args.json.empty()) boxes = std::make_unique<Sink>(args.json, "--json");

  catch_stop_signals(OnSignal::kSay);
  const auto start = std::chrono::steady_clock::now();
  int64_t frames = 0, found = 0;
  std::vector<uint8_t> planes;
  Image picture, drawn;
  const auto end = [&is_over] { is_over = true; };
  FramesAhead ahead(reader, end);
  std::unique_ptr<FramesBehind> behind;
  if (video) {
    write_video_header(video->stream(), format);
    video->flush();
    const auto write = [&video](const std::vector<uint8_t>& frame) {
      write_video_frame(video->stream(), frame);
      video->flush();
    };
    behind = std::make_unique<FramesBehind>(write, end);
  }
  // If reading was stopped within a frame, the stream is not at fault.
  const auto next = [&] {
    try {
      return ahead.next(planes) && !stop_signal_came();
    } catch (const FileError&) {
      if (stop_signal_came() || is_over) return false;
      throw;
    }
  };
  while (next()) {
    picture = rgb_of_frame(format, planes, std::move(picture));
    const std::vector<Detection> detections = detector.detect(picture);
    if (boxes) {
      const nlohmann::ordered_json line{
          {"frame", frames},
          {"time", time_of(format, frames)},
          {"detections", json_of(detections, detector.class_names())}};
      boxes->stream() << line.dump() << '\n';
      boxes->flush();  // a reader gets each frame at once
    }
    if (behind && !detections.empty()) {
      drawn = picture;
      draw_detections(drawn, detections, detector.class_names());
      put_drawn_pixels(format, picture, drawn, planes);
    }
    if (behind) behind->add(planes);
    ++frames;
    found += int64_t(detections.size());
  }
  if (behind) behind->finish();
  in.check_was_read(name);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  message(fmt::format("{}x{}: {} frames, {} boxes, {:.1f} frames/s", format.width, format.height,
                      frames, found, double(frames) / std::max(took.count(), 1e-9)));
  if (!stop_signal_came()) return 0;
  message("video: stopped before the end of the stream");
  return kRunFailed;
}

}  // namespace

Run add_video(CLI::App& app) {
  auto args = std::make_shared<VideoArgs>();
  CLI::App* cmd = app.add_subcommand("video", "Find objects in a video that comes through a pipe");
  cmd->footer(
      "Videos are uncompressed YUV4MPEG2 streams, which FFmpeg and others read and write:\n"
      "  ffmpeg -i in.mp4 -f yuv4mpegpipe -pix_fmt yuv420p - |\n"
      "    ydistill video --weights best.safetensors --out - | ffmpeg -i - out.mp4");
  add_detector_options(*cmd, args->detector);
  cmd->add_option("--source", args->source, "YUV4MPEG2 stream: a file, or - for standard input")
      ->capture_default_str();
  cmd->add_option("--out", args->out,
                  "the video with boxes drawn: a new file, or - for standard output");
  cmd->add_option("--json", args->json,
                  "one line with a JSON object per frame: a new file, or - for standard output");
  return [args] {
    if (args->out.empty() && args->json.empty()) {
      throw ConfigError("video: nothing to write; give --out, --json or both");
    }
    if (args->out == args->json) {
      throw ConfigError("video: --out and --json both name {}; give two different files",
                        printable(args->out));
    }
    use_machine(args->detector);
    const bool is_pipe = args->source == kPipe;
    std::error_code ignored;
    if (!is_pipe && fs::is_directory(args->source, ignored)) {
      throw FileError("{}: a folder; `ydistill detect` is for pictures", printable(args->source));
    }
    std::atomic<bool> is_over = false;
    StoppableInput in(args->source, [&is_over] { return is_over || stop_signal_came(); });
    const std::string name = is_pipe ? "standard input" : printable(args->source);
    try {
      return detect_in_video(*args, in, name, is_over);
    } catch (const FileError&) {
      in.check_was_read(name);  // this error says more than an unexpected end
      throw;
    }
  };
}

}  // namespace ydistill::tools
