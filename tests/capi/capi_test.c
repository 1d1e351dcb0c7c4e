/* The C interface from a C11 program. */
#include <rtorch/runtime.h>

#include <stdio.h>
#include <string.h>

static int failures = 0;

#define CHECK(condition)                                                               \
  do {                                                                                 \
    if (!(condition)) {                                                                \
      fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);    \
      ++failures;                                                                      \
    }                                                                                  \
  } while (0)

/* Frees the error; whether it had that code. */
static int failed_with(rtorch_error *error, const char *code) {
  if (!error) {
    fprintf(stderr, "expected %s, but got success\n", code);
    return 0;
  }
  const int same = strcmp(rtorch_error_code(error), code) == 0;
  if (!same)
    fprintf(stderr, "expected %s, but got %s: %s\n", code, rtorch_error_code(error),
            rtorch_error_message(error));
  rtorch_error_destroy(error);
  return same;
}

static int succeeded(rtorch_error *error) {
  if (!error)
    return 1;
  fprintf(stderr, "%s: %s\n", rtorch_error_code(error), rtorch_error_message(error));
  rtorch_error_destroy(error);
  return 0;
}

static rtorch_value tensor(int32_t dtype, uint32_t rank, const int64_t *sizes,
                           void *data) {
  rtorch_value value = RTORCH_VALUE_INIT;
  value.kind = RTORCH_VALUE_TENSOR;
  value.dtype = dtype;
  value.rank = rank;
  value.sizes = sizes;
  value.data = data;
  return value;
}

static void count_span(void *user, const rtorch_span *span) {
  if (span->end_ns >= span->begin_ns && strcmp(span->kernel, "gather") == 0)
    ++*(int *)user;
}

static void test_run(void) {
  rtorch_module *module = NULL;
  CHECK(succeeded(rtorch_module_load(CAPI_FOLDER "/embedding.rtm", NULL, &module)));
  rtorch_instance *instance = NULL;
  CHECK(succeeded(rtorch_instance_create(module, &instance)));
  rtorch_module_destroy(module); /* the instance keeps what it needs */

  int64_t ids[4] = {3, -1, 0, 9};
  const int64_t sizes[2] = {2, 2};
  rtorch_value argument = tensor(RTORCH_INT64, 2, sizes, ids);
  rtorch_value result = RTORCH_VALUE_INIT;
  int spans = 0;
  rtorch_run_options options = RTORCH_RUN_OPTIONS_INIT;
  options.threads = 1;
  options.profile = count_span;
  options.profile_user = &spans;
  CHECK(succeeded(rtorch_instance_run(instance, &argument, 1, &result, 1, &options)));
  CHECK(spans == 1);
  CHECK(result.kind == RTORCH_VALUE_TENSOR && result.dtype == RTORCH_FLOAT32);
  CHECK(result.rank == 3 && result.sizes[2] == 8 && result.strides[0] == 16);
  const float *values = result.data;
  CHECK(values[0] == 3.0f && values[8] == 9.0f && values[16] == 0.0f &&
        values[24] == 9.0f);

  ids[0] = 10;
  rtorch_error *error = rtorch_instance_run(instance, &argument, 1, &result, 1, NULL);
  CHECK(error && strcmp(rtorch_error_node(error), "embedding") == 0);
  CHECK(error && strcmp(rtorch_error_source(error), "net.py:12") == 0);
  CHECK(failed_with(error, "RT_RUN_FAILED"));

  argument.dtype = 99;
  CHECK(failed_with(rtorch_instance_run(instance, &argument, 1, &result, 1, NULL),
                    "RT_API_USAGE"));
  argument.dtype = RTORCH_INT32;
  CHECK(failed_with(rtorch_instance_run(instance, &argument, 1, &result, 1, NULL),
                    "RT_ARGUMENT_DTYPE"));
  argument.struct_size = 0;
  CHECK(failed_with(rtorch_instance_run(instance, &argument, 1, &result, 1, NULL),
                    "RT_API_USAGE"));
  CHECK(failed_with(rtorch_instance_run(instance, NULL, 1, &result, 1, NULL),
                    "RT_API_USAGE"));
  rtorch_instance_destroy(instance);
}

static void test_describe(void) {
  rtorch_load_options options = RTORCH_LOAD_OPTIONS_INIT;
  options.describe_only = 1;
  rtorch_module *module = NULL;
  CHECK(succeeded(rtorch_module_load(CAPI_FOLDER "/embedding.rtm", &options, &module)));
  rtorch_module_info info = {.struct_size = sizeof info};
  CHECK(succeeded(rtorch_module_describe(module, &info)));
  CHECK(info.argument_count == 1 && info.result_count == 1 && info.symbol_count == 2 &&
        info.check_count == 1 && info.state_count == 0 && info.constant_bytes == 320);
  rtorch_symbol_info symbol = {.struct_size = sizeof symbol};
  CHECK(succeeded(rtorch_module_symbol(module, 1, &symbol)));
  CHECK(strcmp(symbol.name, "s1") == 0 && symbol.min == 2 && symbol.max == 512 &&
        symbol.dim == 1);
  rtorch_value_info result = {.struct_size = sizeof result};
  CHECK(succeeded(rtorch_module_result(module, 0, &result)));
  CHECK(strcmp(result.strides[0], "8*s1") == 0 && result.fixed_strides[0] == -1 &&
        result.fixed_strides[1] == 8 && result.dtype == RTORCH_FLOAT32);
  rtorch_check_info check = {.struct_size = sizeof check};
  CHECK(succeeded(rtorch_module_check(module, 0, &check)));
  CHECK(strcmp(check.relation, "mod(s1, 2) == 0") == 0);
  CHECK(failed_with(rtorch_module_check(module, 1, &check), "RT_API_USAGE"));
  rtorch_value_info small = {.struct_size = 8};
  CHECK(failed_with(rtorch_module_argument(module, 0, &small), "RT_API_USAGE"));

  const int64_t symbols[2] = {4, 6};
  rtorch_memory_info memory = {.struct_size = sizeof memory};
  CHECK(succeeded(rtorch_module_memory(module, symbols, 2, 1, &memory)));
  CHECK(memory.result_bytes == 4 * 6 * 8 * 4 && memory.constant_bytes == 320);
  CHECK(failed_with(rtorch_module_memory(module, symbols, 1, 1, &memory),
                    "RT_API_USAGE"));
  int64_t sizes[3], strides[3];
  CHECK(succeeded(rtorch_module_result_layout(module, symbols, 2, 0, sizes, strides)));
  CHECK(sizes[0] == 4 && sizes[1] == 6 && strides[0] == 48);

  rtorch_instance *instance = NULL;
  CHECK(
      failed_with(rtorch_instance_create(module, &instance), "RT_MODULE_NOT_RUNNABLE"));
  CHECK(instance == NULL);
  rtorch_module_destroy(module);
}

static void test_states(void) {
  rtorch_module *module = NULL;
  CHECK(succeeded(rtorch_module_load(CAPI_FOLDER "/stateful.rtm", NULL, &module)));
  rtorch_instance *instance = NULL;
  CHECK(succeeded(rtorch_instance_create(module, &instance)));
  float x[8] = {1, 1, 1, 1, 1, 1, 1, 1}, y[8] = {0};
  const int64_t size = 8;
  rtorch_value arguments[2] = {tensor(RTORCH_FLOAT32, 1, &size, x),
                               tensor(RTORCH_FLOAT32, 1, &size, y)};
  rtorch_value results[3] = {RTORCH_VALUE_INIT, RTORCH_VALUE_INIT, RTORCH_VALUE_INIT};
  for (int i = 0; i < 3; ++i)
    CHECK(succeeded(rtorch_instance_run(instance, arguments, 2, results, 3, NULL)));
  rtorch_value total = RTORCH_VALUE_INIT;
  CHECK(succeeded(rtorch_instance_state(instance, 0, &total)));
  CHECK(((const float *)total.data)[7] == 10.0f && y[0] == 3.0f);
  CHECK(results[2].kind == RTORCH_VALUE_INT && results[2].integer == 42);
  CHECK(failed_with(rtorch_instance_state(instance, 1, &total), "RT_API_USAGE"));
  rtorch_instance_destroy(instance);
  rtorch_module_destroy(module);
}

int main(void) {
  CHECK(rtorch_abi_version() == RTORCH_ABI_VERSION);
  CHECK(strlen(rtorch_version()) > 0);
  CHECK(rtorch_dtype_bytes(RTORCH_BFLOAT16) == 2 && rtorch_dtype_bytes(77) == 0);
  CHECK(strcmp(rtorch_dtype_name(RTORCH_BOOL), "bool") == 0);
  CHECK(rtorch_dtype_name(-1) == NULL);
  rtorch_module *module = NULL;
  CHECK(failed_with(rtorch_module_load("/nowhere.rtm", NULL, &module), "RT_MODULE_IO"));
  CHECK(module == NULL);
  CHECK(failed_with(rtorch_module_load(NULL, NULL, &module), "RT_API_USAGE"));
  rtorch_module_destroy(NULL);
  rtorch_instance_destroy(NULL);
  rtorch_error_destroy(NULL);
  test_run();
  test_describe();
  test_states();
  return failures != 0;
}
