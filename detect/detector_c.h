/* SPDX-License-Identifier: MIT
 * Detection for C, and for every language that can call C: the shared library ydistill_c.
 *
 *   yd_detector* detector = yd_open("best.safetensors", NULL);
 *   if (detector == NULL) { puts(yd_last_error()); return 1; }
 *   yd_detection found[300];
 *   int64_t n = yd_detect_file(detector, "street.jpg", found, 300);
 *   yd_close(detector);
 *
 * No function throws or ends the process. A function that fails returns NULL or -1, and
 * yd_last_error() gives the reason in one line. A detector may be used by one thread at a time;
 * several detectors may run concurrently, and a child process may go on with those of its parent.
 * Strings are UTF-8 (paths: bytes, as the file system has them) and end with a 0. */
#ifndef YDISTILL_DETECTOR_C_H
#define YDISTILL_DETECTOR_C_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define YD_C_API __attribute__((visibility("default")))
#else
#define YD_C_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* One box. Corners in pixels of the picture, x to the right, y downwards, clipped to it. */
typedef struct yd_detection {
  float x1, y1, x2, y2;
  float score; /* objectness times class probability, 0..1 */
  int32_t class_id;
} yd_detection;

typedef enum yd_pixel_format {
  YD_RGB = 0,  /* 3 bytes per pixel; with dense rows the pixels are not copied */
  YD_BGR = 1,  /* 3, the order of OpenCV */
  YD_RGBA = 2, /* 4, the fourth is ignored */
  YD_BGRA = 3, /* 4, the fourth is ignored */
  YD_GREY = 4  /* 1 */
} yd_pixel_format;

typedef struct yd_picture {
  const uint8_t* pixels; /* rows from the top, pixels from the left */
  int64_t width, height; /* pixels */
  int64_t row_bytes;     /* distance from one row to the next; 0: dense rows */
  int32_t format;        /* yd_pixel_format */
} yd_picture;

typedef struct yd_options {
  size_t size;           /* of this struct in the caller's build; see yd_default_options */
  double conf;           /* scores above this are reported, 0..1; 0.25 */
  double iou;            /* of two boxes with a higher IoU only the better is kept; 0.45 */
  int64_t max_det;       /* maximum number of boxes per picture; 300 */
  int64_t image_size;    /* the longer side in the network, pixels; a multiple of the stride; 640 */
  const char* device;    /* "cpu", "cuda", "cuda:N", or "auto": a GPU where there is one; "cpu" */
  const char* precision; /* "fp32", "bf16", "tf32", "int8" (weights of `ydistill quantize`, on the
                            CPU), or "auto": the fastest there; "fp32" */
  const int64_t* classes; /* ids (after the merge) whose boxes are reported */
  int64_t num_classes;    /* number of ids in `classes`; 0: all classes */
  int32_t agnostic;       /* not 0: boxes of different classes suppress each other too; 0 */
  int32_t tta;            /* not 0: test-time augmentation, three views of each picture; 0 */
  const char* merge; /* classes that count as one: "vehicle=car,bus,truck", several separated by
                        semicolons; class ids and names are those after the merge; NULL */
} yd_options;

/* An opened network. */
typedef struct yd_detector yd_detector;

/* Sets the defaults, given last in the comments above. Later releases may add members at the end: a
 * program that calls this first, then sets the members it knows, keeps working. */
YD_C_API void yd_default_options(yd_options* options, size_t size);
#define YD_DEFAULT_OPTIONS(options) yd_default_options((options), sizeof(yd_options))

/* weights: .pt of YOLOv5 v5.0 to v7.0, or .safetensors. options: NULL for the defaults. Returns
 * NULL on failure. */
YD_C_API yd_detector* yd_open(const char* weights, const yd_options* options);
/* NULL is allowed. */
YD_C_API void yd_close(yd_detector* detector);

YD_C_API int64_t yd_num_classes(const yd_detector* detector);
/* Valid until yd_close; NULL if there is no such class. */
YD_C_API const char* yd_class_name(const yd_detector* detector, int64_t class_id);

/* Finds boxes, highest score first. Writes at most `capacity` of them and returns the number found,
 * at most max_det, or -1 on failure. found may be NULL if capacity is 0. */
YD_C_API int64_t yd_detect(yd_detector* detector, const yd_picture* picture, yd_detection* found,
                           int64_t capacity);
/* The same for a JPEG, PNG or BMP file, recognised by its content; EXIF orientation is applied. */
YD_C_API int64_t yd_detect_file(yd_detector* detector, const char* path, yd_detection* found,
                                int64_t capacity);
/* Many pictures, for throughput; each gets the boxes that yd_detect gives. The boxes of picture i
 * are written from found[i * capacity] on, the number found (it may exceed capacity) to
 * num_found[i]. Returns 0, or -1 on failure; an invalid picture fails before any computation. */
YD_C_API int yd_detect_batch(yd_detector* detector, const yd_picture* pictures,
                             int64_t num_pictures, yd_detection* found, int64_t capacity,
                             int64_t* num_found);

/* Number of threads that later calls of this thread use, and its other OpenMP loops; default: all
 * cores. More than the system can start end the process, by OpenMP. Returns 0, or -1 unless threads
 * is 1 to 65536. */
YD_C_API int yd_set_threads(int64_t threads);
/* Reason of this thread's last failed call; "" if none failed. Valid until its next call. */
YD_C_API const char* yd_last_error(void);
/* "0.1.0" */
YD_C_API const char* yd_version(void);

#ifdef __cplusplus
}
#endif

#endif
