/* SPDX-License-Identifier: MIT */
#include <ydistill/detect/detector_c.h>

#include <stdio.h>

int main(int argc, char** argv) {
  if (argc != 3) return fprintf(stderr, "usage: embed_c WEIGHTS PICTURE\n"), 2;
  yd_options options;
  YD_DEFAULT_OPTIONS(&options);
  options.precision = "auto";
  yd_detector* detector = yd_open(argv[1], &options);
  yd_detection found[300];
  const int64_t n = detector == NULL ? -1 : yd_detect_file(detector, argv[2], found, 300);
  if (n < 0) fprintf(stderr, "embed_c: %s\n", yd_last_error());
  for (int64_t i = 0; i < n; ++i) {
    const yd_detection* d = &found[i];
    printf("%s %.2f  %.0f %.0f %.0f %.0f\n", yd_class_name(detector, d->class_id), d->score, d->x1,
           d->y1, d->x2, d->y2);
  }
  yd_close(detector);
  return n < 0;
}
