// The program's own malloc: the C library's behind a counter. Sanitizers bring a malloc
// of their own, which tells of each call.
#include "tests/guarantees/Allocations.h"

#include <atomic>
#include <cerrno>
#include <cstddef>

namespace {

std::atomic<size_t> taken = 0, freed = 0;

} // namespace

size_t rtorch::test::allocations() { return taken; }
size_t rtorch::test::liveAllocations() { return taken - freed; }

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                   \
    defined(RTORCH_SANITIZED)

extern "C" int __sanitizer_install_malloc_and_free_hooks(
    void (*allocated)(const volatile void *, size_t),
    void (*released)(const volatile void *));

static const int installed = __sanitizer_install_malloc_and_free_hooks(
    [](const volatile void *, size_t) { ++taken; },
    [](const volatile void *memory) { freed += memory != nullptr; });

#else

extern "C" {
#pragma GCC visibility push(default)

// NOLINTBEGIN(bugprone-reserved-identifier): glibc's names for its own functions
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);
// NOLINTEND(bugprone-reserved-identifier)

void *malloc(size_t size) {
  ++taken;
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  ++taken;
  return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size) {
  ++taken;
  freed += memory != nullptr;
  return __libc_realloc(memory, size);
}

void *memalign(size_t alignment, size_t size) {
  ++taken;
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **out, size_t alignment, size_t size) {
  *out = memalign(alignment, size);
  return *out ? 0 : ENOMEM;
}

void free(void *memory) {
  freed += memory != nullptr;
  __libc_free(memory);
}

#pragma GCC visibility pop
} // extern "C"

#endif
