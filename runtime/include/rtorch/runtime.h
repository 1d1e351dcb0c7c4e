/* rtorch runtime: loads compiled modules and runs them. C11.
 *
 * - Nothing here throws, aborts or prints.
 * - Functions that can fail return an error object, or NULL for success. The caller
 *   frees it with rtorch_error_destroy.
 * - Structs that the caller fills or passes for filling begin with `struct_size`, which
 *   the caller sets to sizeof the struct; initialise them with the macros below. They
 *   can grow at their end in later versions.
 * - Names, strings and size arrays in structs that the library fills live as long as
 *   the object they were asked from.
 * - A module may be used from any number of threads at once, an instance from one at a
 *   time. */
#ifndef RTORCH_RUNTIME_H
#define RTORCH_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define RTORCH_EXPORT __attribute__((visibility("default")))
#else
#define RTORCH_EXPORT
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* --- Version --------------------------------------------------------------------- */

/* (major << 16) | minor of the binary interface. A minor release only adds. */
#define RTORCH_ABI_VERSION ((0u << 16) | 1u)
/* The same number of the library that is linked. */
RTORCH_EXPORT uint32_t rtorch_abi_version(void);
/* "0.1.0" */
RTORCH_EXPORT const char *rtorch_version(void);

/* --- Errors ---------------------------------------------------------------------- */

typedef struct rtorch_error rtorch_error;

/* All four give "" for NULL.
 * Stable code, "RT_LAYOUT_STRIDE"; all are listed in docs/reference/errors.md. */
RTORCH_EXPORT const char *rtorch_error_code(const rtorch_error *error);
/* The thing, what was expected, what came. */
RTORCH_EXPORT const char *rtorch_error_message(const rtorch_error *error);
/* Node of the model and line of its source that are concerned; empty if none. */
RTORCH_EXPORT const char *rtorch_error_node(const rtorch_error *error);
RTORCH_EXPORT const char *rtorch_error_source(const rtorch_error *error);
/* NULL is allowed. */
RTORCH_EXPORT void rtorch_error_destroy(rtorch_error *error);
/* An error of a library that works beside the runtime; an unknown code becomes
 * RT_API_USAGE. Never NULL. */
RTORCH_EXPORT rtorch_error *rtorch_error_create(const char *code, const char *message);

/* --- Values ---------------------------------------------------------------------- */

enum {
  RTORCH_BOOL = 0,
  RTORCH_UINT8 = 1,
  RTORCH_INT8 = 2,
  RTORCH_INT16 = 3,
  RTORCH_INT32 = 4,
  RTORCH_INT64 = 5,
  RTORCH_FLOAT16 = 6,
  RTORCH_BFLOAT16 = 7,
  RTORCH_FLOAT32 = 8,
  RTORCH_FLOAT64 = 9
};

/* Bytes of one element; 0 for a number that is no dtype. */
RTORCH_EXPORT size_t rtorch_dtype_bytes(int32_t dtype);
/* PyTorch's name without "torch.", "float32"; NULL for a number that is no dtype. */
RTORCH_EXPORT const char *rtorch_dtype_name(int32_t dtype);

enum {
  RTORCH_VALUE_NONE = 0,
  RTORCH_VALUE_TENSOR = 1,
  RTORCH_VALUE_BOOL = 2,
  RTORCH_VALUE_INT = 3,
  RTORCH_VALUE_FLOAT = 4,
  RTORCH_VALUE_STRING = 5
};

/* One leaf of the flattened arguments or results. A tensor borrows its memory; strides
 * count elements, `data` is the element with all indices 0. */
typedef struct rtorch_value {
  uint32_t struct_size;
  int32_t kind;           /* RTORCH_VALUE_... */
  int32_t dtype;          /* tensor */
  uint32_t rank;          /* tensor */
  const int64_t *sizes;   /* tensor, `rank` numbers */
  const int64_t *strides; /* tensor, `rank` numbers; NULL: row-major (arguments only) */
  void *data;             /* tensor */
  int64_t integer;        /* bool, int */
  double real;            /* float */
  const char *string;     /* string */
} rtorch_value;
#define RTORCH_VALUE_INIT                                                              \
  {sizeof(rtorch_value), RTORCH_VALUE_NONE, 0, 0, NULL, NULL, NULL, 0, 0, NULL}

/* A named tensor; `strides` may be NULL for row-major. */
typedef struct rtorch_named_tensor {
  uint32_t struct_size;
  int32_t requires_grad; /* saved with the tensor */
  const char *name;
  rtorch_value value;
} rtorch_named_tensor;
#define RTORCH_NAMED_TENSOR_INIT                                                       \
  {sizeof(rtorch_named_tensor), 0, NULL, RTORCH_VALUE_INIT}

/* --- Modules --------------------------------------------------------------------- */

typedef struct rtorch_module rtorch_module;

typedef struct rtorch_load_options {
  uint32_t struct_size;
  /* Do not touch the code: works for modules of other CPUs, which then cannot run. */
  int32_t describe_only;
  /* Do not read the constants to compare them with their checksum. Loading is then
   * independent of their size, but a changed weight goes unnoticed. */
  int32_t trust_constants;
  /* For a module that was compiled without its weights: all of them, by name
   * (rtorch_module_weight lists them). Memory that lies as the module needs it (row
   * major, aligned to 64 bytes) is used in place. NULL for other modules. */
  const rtorch_named_tensor *weights;
  uint32_t weight_count;
  uint32_t reserved;
  /* Called once when nobody needs the weights' memory any more: after a failed load,
   * or when the module and its instances are gone. May be NULL. */
  void (*release)(void *user);
  void *release_user;
  /* The CPU whose code is to run, of those that the module was compiled for
   * ("x86-64-v3"). NULL: what the environment variable RTORCH_CPU_LEVEL names, if the
   * module has it, else the best that this CPU can run. */
  const char *cpu_level;
} rtorch_load_options;
#define RTORCH_LOAD_OPTIONS_INIT                                                       \
  {sizeof(rtorch_load_options), 0, 0, NULL, 0, 0, NULL, NULL, NULL}

/* Loads and checks a module file. `options` may be NULL. On failure *out is NULL. */
RTORCH_EXPORT rtorch_error *rtorch_module_load(const char *path,
                                               const rtorch_load_options *options,
                                               rtorch_module **out);

/* A kernel that is linked into the program, by the name that the module knows it by. */
typedef struct rtorch_embedded_kernel {
  const char *symbol;
  void (*function)(void);
} rtorch_embedded_kernel;

/* A module that is linked into the program. rtorch-compile --emit static writes one,
 * and a header that declares it; there is nothing in it for programs to read or change.
 */
typedef struct rtorch_embedded_module {
  uint32_t struct_size;
  uint32_t reserved;
  const char *name;  /* of the module, for messages */
  const void *bytes; /* constants, manifest and trailer, aligned to 64 bytes */
  uint64_t byte_count;
  const rtorch_embedded_kernel *kernels; /* ascending by symbol */
  uint64_t kernel_count;
} rtorch_embedded_module;

/* Opens a module that is linked into the program: no file is read, and constants are
 * used where they are. `embedded` must stay as long as the module. `options` may be
 * NULL. On failure *out is NULL. */
RTORCH_EXPORT rtorch_error *
rtorch_module_open_embedded(const rtorch_embedded_module *embedded,
                            const rtorch_load_options *options, rtorch_module **out);

/* Instances keep what they need of the module. NULL is allowed. */
RTORCH_EXPORT void rtorch_module_destroy(rtorch_module *module);

typedef struct rtorch_module_info {
  uint32_t struct_size;
  uint32_t kernel_abi;
  const char *model;    /* name of the exported program */
  const char *producer; /* "rtorch 0.1.0" */
  const char *triple;
  const char *cpu;
  const char *const *features; /* CPU features that the code needs */
  uint32_t feature_count;
  uint32_t argument_count;
  uint32_t result_count;
  uint32_t symbol_count;
  uint32_t check_count;
  uint32_t state_count;
  uint32_t kernel_count;
  uint32_t launch_count;
  uint64_t code_bytes;
  uint64_t constant_bytes;
  uint64_t file_bytes;
  uint32_t weight_count; /* tensors that the caller brings; 0: the module has its own */
  uint32_t level_count;  /* CPUs that the module has code for */
  uint32_t level;        /* the one that runs, and that is described */
  uint32_t step_count;   /* launches, loops and branches of the schedule */
} rtorch_module_info;
RTORCH_EXPORT rtorch_error *rtorch_module_describe(const rtorch_module *module,
                                                   rtorch_module_info *info);

/* A CPU that a module has code for; the most demanding comes first. */
typedef struct rtorch_level_info {
  uint32_t struct_size;
  uint32_t feature_count;
  const char *cpu;
  const char *const *features; /* CPU features that its code needs */
  uint32_t kernel_count;
  uint32_t launch_count;
} rtorch_level_info;
RTORCH_EXPORT rtorch_error *rtorch_module_level(const rtorch_module *module,
                                                uint32_t index,
                                                rtorch_level_info *info);

/* Kinds of steps. */
#define RTORCH_STEP_LAUNCH 0
#define RTORCH_STEP_LOOP 1
#define RTORCH_STEP_BRANCH 2

/* What a run does, step by step. Loops and branches are followed by their own steps. */
typedef struct rtorch_step_info {
  uint32_t struct_size;
  int32_t kind;
  uint32_t depth;        /* loops and branches around it */
  uint32_t body;         /* steps of a loop, or of a branch where its condition holds */
  uint32_t otherwise;    /* steps of a branch where it does not; they come after body */
  int32_t has_condition; /* a branch, or a loop that a value in memory may end */
  const char *name;      /* of a launch: the nodes that it computes; else "" */
  const char *source;    /* of a launch: the user's line of the last of them; else "" */
  const char *kernel;    /* of a launch; else "" */
  const char *trips;     /* of a loop: an expression over the symbols; else "" */
} rtorch_step_info;
RTORCH_EXPORT rtorch_error *rtorch_module_step(const rtorch_module *module,
                                               uint32_t index, rtorch_step_info *info);

/* A size that varies from call to call: dimension `dim` of argument `argument`, or,
 * with dim -1, the value of that argument. */
typedef struct rtorch_symbol_info {
  uint32_t struct_size;
  uint32_t argument;
  int32_t dim;
  const char *name;
  int64_t min;
  int64_t max; /* INT64_MAX: no limit */
} rtorch_symbol_info;
RTORCH_EXPORT rtorch_error *rtorch_module_symbol(const rtorch_module *module,
                                                 uint32_t index,
                                                 rtorch_symbol_info *info);

/* What an argument, result or state is. */
typedef struct rtorch_value_info {
  uint32_t struct_size;
  int32_t kind; /* RTORCH_VALUE_... */
  const char *name;
  int32_t dtype;                /* tensor */
  uint32_t rank;                /* tensor */
  const char *const *sizes;     /* tensor: expressions over the symbols, "2*s0" */
  const char *const *strides;   /* tensor: as sizes */
  const int64_t *fixed_sizes;   /* tensor: numbers, -1 where symbols decide */
  const int64_t *fixed_strides; /* tensor: as fixed_sizes */
  uint32_t alignment;           /* argument: bytes */
  int32_t is_mutated;           /* argument: the module writes to it */
  int32_t is_constant;          /* `constant` is what the argument must be, or what the
                                   result is */
  int32_t is_view;              /* result: aliases what `view_of` names */
  const char *view_of;          /* "argument 'x'", "buffer 'cache'", ...; else empty */
  const char *value;            /* int: an expression over the symbols; else empty */
  const char *needed_by;        /* argument: op that fixes the strides, or empty */
  const char *source;           /* argument: source line of that op, or empty */
  rtorch_value constant;
} rtorch_value_info;
RTORCH_EXPORT rtorch_error *rtorch_module_argument(const rtorch_module *module,
                                                   uint32_t index,
                                                   rtorch_value_info *info);
RTORCH_EXPORT rtorch_error *rtorch_module_result(const rtorch_module *module,
                                                 uint32_t index,
                                                 rtorch_value_info *info);
/* A buffer that runs change. */
RTORCH_EXPORT rtorch_error *rtorch_module_state(const rtorch_module *module,
                                                uint32_t index,
                                                rtorch_value_info *info);

/* A tensor that the caller brings when the module is loaded. The strides say how it
 * lies in the module's memory; it may come with any. */
RTORCH_EXPORT rtorch_error *rtorch_module_weight(const rtorch_module *module,
                                                 uint32_t index,
                                                 rtorch_value_info *info);

/* A relation that is checked at calls with new sizes. */
typedef struct rtorch_check_info {
  uint32_t struct_size;
  const char *relation; /* "s0 == floordiv(s1, 2)" */
  const char *message;  /* what needs it */
  const char *source;   /* the user's source line, or empty */
} rtorch_check_info;
RTORCH_EXPORT rtorch_error *rtorch_module_check(const rtorch_module *module,
                                                uint32_t index,
                                                rtorch_check_info *info);

/* Bytes that a run needs. */
typedef struct rtorch_memory_info {
  uint32_t struct_size;
  int64_t arena_bytes;    /* intermediates, and scratch memory for each thread */
  int64_t result_bytes;   /* results with memory of their own */
  int64_t state_bytes;    /* of each instance */
  int64_t constant_bytes; /* mapped from the file, shared */
  int64_t peak_bytes;     /* arena, results and states */
} rtorch_memory_info;
/* For symbol values in the order of the symbols; threads 0: the default number. */
RTORCH_EXPORT rtorch_error *
rtorch_module_memory(const rtorch_module *module, const int64_t *symbol_values,
                     uint32_t symbol_count, uint32_t threads, rtorch_memory_info *info);

/* Sizes and strides of a tensor result for given symbol values. `sizes` and `strides`
 * have room for the result's rank. */
RTORCH_EXPORT rtorch_error *rtorch_module_result_layout(const rtorch_module *module,
                                                        const int64_t *symbol_values,
                                                        uint32_t symbol_count,
                                                        uint32_t result, int64_t *sizes,
                                                        int64_t *strides);

/* --- Runs ------------------------------------------------------------------------ */

/* One thread's part of one launch. */
typedef struct rtorch_span {
  uint32_t struct_size;
  uint32_t thread;  /* 0 is the thread that called run */
  uint32_t launch;  /* index into the schedule */
  const char *name; /* nodes of the model that the launch computes */
  const char *kernel;
  const char *source; /* the user's source line, or empty */
  int64_t begin_ns;   /* steady clock */
  int64_t end_ns;
} rtorch_span;

typedef struct rtorch_run_options {
  uint32_t struct_size;
  /* 0: as many as the process has CPUs. The number does not change the results. */
  uint32_t threads;
  /* Memory for intermediates, aligned to 64 bytes, at least arena_bytes of
   * rtorch_memory_info for as many threads; NULL: the instance's own. */
  void *arena;
  size_t arena_bytes;
  /* Copy arguments whose strides or alignment do not fit, instead of refusing them;
   * mutated ones are copied back. Such a run allocates. */
  int32_t relayout;
  /* Set by the run: how many arguments were copied. */
  uint32_t copies;
  /* Called after each launch for each thread that took part, by the thread that called
   * run; may be NULL. */
  void (*profile)(void *user, const rtorch_span *span);
  void *profile_user;
  /* Gives memory for result `index`, whose dtype, sizes and strides are in `shape`, at
   * least `bytes`; NULL makes the run fail. May be NULL. */
  void *(*allocate)(void *user, uint32_t index, const rtorch_value *shape,
                    size_t bytes);
  void *allocate_user;
  /* The caller's threads instead of rtorch's own: calls task(argument, i) once for each
   * i below `threads`, side by side or one after the other, and returns when all calls
   * have returned. May be NULL. */
  void (*parallel)(void *user, uint32_t threads,
                   void (*task)(void *argument, uint32_t thread), void *argument);
  void *parallel_user;
  /* Set by the run: the bytes of the arguments that were copied. */
  int64_t copied_bytes;
  /* Gets the nanoseconds that checking arguments and results against the contract took,
   * without copies; may be NULL. */
  int64_t *check_ns;
} rtorch_run_options;
#define RTORCH_RUN_OPTIONS_INIT                                                        \
  {sizeof(rtorch_run_options),                                                         \
   0,                                                                                  \
   NULL,                                                                               \
   0,                                                                                  \
   0,                                                                                  \
   0,                                                                                  \
   NULL,                                                                               \
   NULL,                                                                               \
   NULL,                                                                               \
   NULL,                                                                               \
   NULL,                                                                               \
   NULL,                                                                               \
   0,                                                                                  \
   NULL}

typedef struct rtorch_instance rtorch_instance;

/* What runs change: mutated buffers with their initial values, memory for
 * intermediates. On failure *out is NULL. */
RTORCH_EXPORT rtorch_error *rtorch_instance_create(rtorch_module *module,
                                                   rtorch_instance **out);
/* NULL is allowed. */
RTORCH_EXPORT void rtorch_instance_destroy(rtorch_instance *instance);

/* Checks all arguments, then computes the results.
 *
 * results[i] with kind tensor and data is the caller's memory for result i: it must
 * have the dtype, sizes and strides of the result, and overlap nothing else. Otherwise,
 * or if data is what an earlier run of the instance put there, memory comes from
 * options->allocate, or is the instance's own and valid until its next run. After
 * success each results[i] describes its result; its sizes and strides are valid until
 * the next run. A result that is a view points into what it views, whatever results[i]
 * held before.
 *
 * After a failure, results, mutated arguments and states may have been written in part.
 * `options` may be NULL. Does not allocate when the sizes are not new. */
RTORCH_EXPORT rtorch_error *
rtorch_instance_run(rtorch_instance *instance, const rtorch_value *arguments,
                    uint32_t argument_count, rtorch_value *results,
                    uint32_t result_count, rtorch_run_options *options);

/* The buffer's memory: changed by runs, may be written between them. */
RTORCH_EXPORT rtorch_error *rtorch_instance_state(rtorch_instance *instance,
                                                  uint32_t index, rtorch_value *out);

#ifdef __cplusplus
}
#endif

#endif
