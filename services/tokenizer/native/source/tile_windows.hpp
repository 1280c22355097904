// Windows times packed bf16 weights where there are tiles.
#pragma once

#include "tiles.hpp"
#include "windows.hpp"

namespace csm {

#ifdef CSM_TILES

// As `multiply`, of rounded windows, by one worker: the windows of `rows` and the panels of `panels`.
void multiply_by_tiles(const Matrix& matrix, const Windows& in, const Results& out,
                       const Worker::Range& rows, const Worker::Range& panels);

#endif

}  // namespace csm
