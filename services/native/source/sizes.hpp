// The structs that Python hands over and how long they are here: Python has them written down a
// second time, and refuses a library whose structs are of other sizes (interface.py).
#pragma once

#include <cstdint>

namespace csm {

// A list of them ends with a name that is null.
struct StructSize {
  const char* name;
  int64_t bytes;
};

}  // namespace csm

#define CSM_SIZE(type) \
  { #type, sizeof(csm::type) }
