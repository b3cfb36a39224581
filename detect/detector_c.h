/* SPDX-License-Identifier: MIT
 * Detection for programs in C and in every language that can call C: the shared library ydistill_c.
 *
 *   yd_detector* detector = yd_open("best.safetensors", NULL);
 *   if (detector == NULL) { puts(yd_last_error()); return 1; }
 *   yd_detection found[300];
 *   int64_t n = yd_detect_file(detector, "street.jpg", found, 300);
 *   yd_close(detector);
 *
 * Nothing here throws or ends the process. What fails returns NULL or -1, and yd_last_error() says
 * why in one line. A detector belongs to one thread at a time; several detectors may work at once.
 * Text is UTF-8 (paths: bytes, as the file system has them) and ends with a 0. */
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
  YD_RGB = 0,  /* 3 bytes a pixel; dense rows of these are looked at where they are */
  YD_BGR = 1,  /* 3, as OpenCV has them */
  YD_RGBA = 2, /* 4, the fourth is ignored */
  YD_BGRA = 3, /* 4, the fourth is ignored */
  YD_GREY = 4  /* 1 */
} yd_pixel_format;

typedef struct yd_picture {
  const uint8_t* pixels; /* rows from the top, pixels from the left */
  int64_t width, height; /* pixels */
  int64_t row_bytes;     /* from one row to the next; 0: dense */
  int32_t format;        /* yd_pixel_format */
} yd_picture;

typedef struct yd_options {
  size_t size;           /* of this struct as the caller was compiled; see yd_default_options */
  double conf;           /* scores above this are reported, 0..1; 0.25 */
  double iou;            /* of two boxes that overlap more only the better is kept; 0.45 */
  int64_t max_det;       /* boxes a picture; 300 */
  int64_t image_size;    /* the longer side in the network, pixels; a multiple of the stride; 640 */
  const char* device;    /* "cpu", "cuda", "cuda:N", or "auto": a GPU where there is one; "cpu" */
  const char* precision; /* "fp32", "bf16", "tf32", "int8" (weights of `ydistill quantize`, on the
                            CPU), or "auto": what is fastest there; "fp32" */
  const int64_t* classes; /* only boxes found as one of these are reported */
  int64_t num_classes;    /* how many these are; 0: all classes */
  int32_t agnostic;       /* not 0: boxes of different classes suppress each other too; 0 */
  int32_t tta;            /* not 0: test-time augmentation, three looks at each picture; 0 */
  const char* merge; /* classes that count as one: "vehicle=car,bus,truck", several such apart by
                        semicolons; ids and names of classes are then those afterwards; NULL */
} yd_options;

/* An opened network. */
typedef struct yd_detector yd_detector;

/* The values above. Later releases may add members at the end: a program that calls this first, and
 * changes what it knows, goes on working with them. */
YD_C_API void yd_default_options(yd_options* options, size_t size);
#define YD_DEFAULT_OPTIONS(options) yd_default_options((options), sizeof(yd_options))

/* weights: .pt of YOLOv5 v5.0 to v7.0, or .safetensors. options: NULL for the defaults. NULL where
 * it cannot be opened. */
YD_C_API yd_detector* yd_open(const char* weights, const yd_options* options);
/* NULL is allowed. */
YD_C_API void yd_close(yd_detector* detector);

YD_C_API int64_t yd_num_classes(const yd_detector* detector);
/* Valid until yd_close; NULL where there is no such class. */
YD_C_API const char* yd_class_name(const yd_detector* detector, int64_t class_id);

/* Finds boxes, best score first, writes the first `capacity` of them and returns how many there
 * are, at most max_det; -1 where it fails. found may be NULL where capacity is 0. */
YD_C_API int64_t yd_detect(yd_detector* detector, const yd_picture* picture, yd_detection* found,
                           int64_t capacity);
/* The same for a file: JPEG, PNG or BMP, told by its content, turned upright. */
YD_C_API int64_t yd_detect_file(yd_detector* detector, const char* path, yd_detection* found,
                                int64_t capacity);
/* Many pictures for throughput; each gets the boxes that yd_detect gives it. Those of picture i go
 * to found[i * capacity] and on, and their number to num_found[i]. 0, or -1 where any picture is
 * wrong: then nothing has been computed. */
YD_C_API int yd_detect_batch(yd_detector* detector, const yd_picture* pictures,
                             int64_t num_pictures, yd_detection* found, int64_t capacity,
                             int64_t* num_found);

/* Threads for what this thread calls from now on; at first all cores. 0, or -1 for less than 1. */
YD_C_API int yd_set_threads(int64_t threads);
/* Why this thread's last call that failed did so; "" where none has. Valid until its next call. */
YD_C_API const char* yd_last_error(void);
/* "0.1.0" */
YD_C_API const char* yd_version(void);

#ifdef __cplusplus
}
#endif

#endif
