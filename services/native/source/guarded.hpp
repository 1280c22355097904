// How a C function tells of what C++ throws: memory or threads that cannot be had.
#pragma once

#include <cstdint>
#include <exception>

namespace csm {

// 0 where `work` is done, 1 where it threw.
template <class Work>
int32_t guarded(Work work) {
  try {
    work();
    return 0;
  } catch (const std::exception&) {
    return 1;
  }
}

}  // namespace csm
