#include "tests/unit/codegen/GuardedMemory.h"

#include <cstring>
#include <new>
#include <sys/mman.h>
#include <unistd.h>

namespace rtorch::test {

GuardedMemory::GuardedMemory(size_t bytes) {
  const size_t page = sysconf(_SC_PAGESIZE);
  const size_t used = (bytes + page - 1) / page * page;
  mapped_ = used + page;
  void *mapping = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED ||
      mprotect(static_cast<uint8_t *>(mapping) + used, page, PROT_NONE) != 0)
    throw std::bad_alloc();
  mapping_ = static_cast<uint8_t *>(mapping);
  data_ = mapping_ + used - bytes;
  std::memset(data_, 0xff, bytes);
}

GuardedMemory::~GuardedMemory() { munmap(mapping_, mapped_); }

} // namespace rtorch::test
