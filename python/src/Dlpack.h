// The binary interface by which tensors cross between this module and PyTorch:
// DLPack 1.x with its table of C functions (https://dmlc.github.io/dlpack/latest/).
// Declared here so that nothing is compiled against the headers of a PyTorch.
#pragma once

#include <cstdint>

namespace rtorch::python::dlpack {

struct Version {
  uint32_t major, minor;
};

enum DeviceType : int32_t { Cpu = 1 };

struct Device {
  DeviceType type;
  int32_t id;
};

enum Code : uint8_t { Int = 0, UInt = 1, Float = 2, BFloat = 4, Bool = 6 };

struct DataType {
  uint8_t code, bits;
  uint16_t lanes;
};

struct Tensor {
  void *data;
  Device device;
  int32_t rank;
  DataType dtype;
  int64_t *sizes;
  int64_t *strides;
  uint64_t byteOffset;
};

struct ManagedTensor {
  Version version;
  void *context;
  void (*deleter)(ManagedTensor *);
  uint64_t flags;
  Tensor tensor;
};

struct ExchangeHeader {
  Version version;
  ExchangeHeader *previous;
};

/// What `torch.Tensor.__dlpack_c_exchange_api__` points to. The functions return 0, or
/// -1 with a Python exception set.
struct Exchange {
  ExchangeHeader header;
  void *allocate;
  int (*fromObject)(void *object, ManagedTensor **out);
  int (*toObject)(ManagedTensor *tensor, void **object);
  /// Without ownership: for as long as the caller holds the object.
  int (*borrow)(void *object, Tensor *out);
  void *currentStream;
};

} // namespace rtorch::python::dlpack
