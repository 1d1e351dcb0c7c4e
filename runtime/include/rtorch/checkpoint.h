/* Checkpoints: named tensors in one file, checked, saved so that a crash costs nothing.
 * C11; link librtorch_checkpoint and librtorch_runtime. The rules of runtime.h hold
 * here, too. The format (RTCH) is described in docs/reference/checkpoint.md. */
#ifndef RTORCH_CHECKPOINT_H
#define RTORCH_CHECKPOINT_H

#include "rtorch/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- Reading --------------------------------------------------------------------- */

typedef struct rtorch_checkpoint rtorch_checkpoint;

enum {
  RTORCH_VERIFY_FULL = 0, /* all tensors when the file is opened */
  RTORCH_VERIFY_LAZY = 1, /* each tensor when it is asked for first */
  RTORCH_VERIFY_NONE = 2  /* never: a changed weight goes unnoticed */
};

/* Maps and checks a checkpoint. Its tensors are shared by all who use it; nobody may
 * shorten the file meanwhile. `verify` is RTORCH_VERIFY_... On failure *out is NULL. */
RTORCH_EXPORT rtorch_error *rtorch_checkpoint_open(const char *path, int32_t verify,
                                                   rtorch_checkpoint **out);
/* Modules that were loaded with its weights keep what they need. NULL is allowed. */
RTORCH_EXPORT void rtorch_checkpoint_destroy(rtorch_checkpoint *checkpoint);

typedef struct rtorch_checkpoint_info {
  uint32_t struct_size;
  uint32_t tensor_count;  /* names, aliases included */
  uint32_t user_count;    /* entries that the writer's user added */
  uint32_t warning_count; /* what a later version added and this one leaves out */
  uint32_t major;
  uint32_t minor;
  const char *writer;     /* "rtorch 0.1.0" */
  const char *content_id; /* 32 hexadecimal digits: equal for equal content */
  uint64_t file_bytes;
  uint64_t tensor_bytes;
} rtorch_checkpoint_info;
RTORCH_EXPORT rtorch_error *
rtorch_checkpoint_describe(const rtorch_checkpoint *checkpoint,
                           rtorch_checkpoint_info *info);

typedef struct rtorch_checkpoint_tensor {
  uint32_t struct_size;
  int32_t requires_grad;
  const char *name;
  const char *alias_of;   /* the tensor that it is the same as, or empty */
  const char *dtype_name; /* the format's: "F32" */
  const char *layout;     /* "row_major" or "channels_last" */
  uint64_t bytes;
  /* The tensor in the mapped file, read only: kind RTORCH_VALUE_NONE, with sizes,
   * strides and memory, where the runtime lacks the dtype. */
  rtorch_value value;
} rtorch_checkpoint_tensor;
#define RTORCH_CHECKPOINT_TENSOR_INIT                                                  \
  {sizeof(rtorch_checkpoint_tensor), 0, NULL, NULL, NULL, NULL, 0, RTORCH_VALUE_INIT}
/* The index-th tensor in the order of names. With RTORCH_VERIFY_LAZY it is verified
 * now. */
RTORCH_EXPORT rtorch_error *
rtorch_checkpoint_tensor_at(const rtorch_checkpoint *checkpoint, uint32_t index,
                            rtorch_checkpoint_tensor *tensor);
/* The tensor of that name; RT_CHECKPOINT_MISMATCH if there is none. */
RTORCH_EXPORT rtorch_error *rtorch_checkpoint_find(const rtorch_checkpoint *checkpoint,
                                                   const char *name,
                                                   rtorch_checkpoint_tensor *tensor);
/* An entry that the writer's user added, in the order of keys. */
RTORCH_EXPORT rtorch_error *
rtorch_checkpoint_user_at(const rtorch_checkpoint *checkpoint, uint32_t index,
                          const char **key, const char **value);
/* What a later version added to the file and this one leaves out. */
RTORCH_EXPORT rtorch_error *
rtorch_checkpoint_warning_at(const rtorch_checkpoint *checkpoint, uint32_t index,
                             const char **warning);

/* The checkpoint's tensors as weights of a module that was compiled without them: fills
 * in `weights`, `weight_count`, `release` and `release_user` of options that are to be
 * given to rtorch_module_load once. Verifies all of them. Modules that are loaded from
 * the same checkpoint share its pages. */
RTORCH_EXPORT rtorch_error *
rtorch_checkpoint_weights(const rtorch_checkpoint *checkpoint,
                          rtorch_load_options *options);

/* --- Tensors that the caller has ------------------------------------------------- */

/* Copies tensors from the checkpoint into the memory of `tensors`, of any strides.
 * First compares them all: RT_CHECKPOINT_MISMATCH lists every tensor that is missing or
 * of another dtype or shape, and, if `strict`, every one that nobody asked for. Nothing
 * is converted, and nothing is copied after a failure. */
RTORCH_EXPORT rtorch_error *rtorch_checkpoint_load(const rtorch_checkpoint *checkpoint,
                                                   const rtorch_named_tensor *tensors,
                                                   uint32_t tensor_count,
                                                   int32_t strict);

typedef struct rtorch_save_options {
  uint32_t struct_size;
  uint32_t user_count;
  const char *const *user_keys; /* `user_count` strings of the caller's */
  const char *const *user_values;
  int32_t skip_sync; /* do not wait for the disk: for tests and scratch files */
} rtorch_save_options;
#define RTORCH_SAVE_OPTIONS_INIT {sizeof(rtorch_save_options), 0, NULL, NULL, 0}

/* Saves tensors of any strides. Two names of the same memory become one tensor and an
 * alias. A crash at any moment leaves the old file or the new one. `options` may be
 * NULL. */
RTORCH_EXPORT rtorch_error *rtorch_checkpoint_save(const char *path,
                                                   const rtorch_named_tensor *tensors,
                                                   uint32_t tensor_count,
                                                   const rtorch_save_options *options);

#ifdef __cplusplus
}
#endif

#endif
