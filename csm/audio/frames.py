"""Codes to bytes and back: little-endian uint16, frame-major, zero-copy into numpy."""

import numpy as np
from numpy.typing import NDArray

from csm.errors import invalid
from csm.v1 import common_pb2

Codes = NDArray[np.uint16]
WIRE_DTYPE = np.dtype("<u2")


def pack(
    codes: NDArray[np.integer], first_frame: int = 0, field: str = "frames"
) -> common_pb2.TokenFrames:
    """Frames [F, K] of any integer type as a message.

    Raises `InvalidArgument` naming `field` where they are no integers [F, K], or where a code does
    not fit the wire's 16 bits: it would come out as another one.
    """
    if codes.ndim != 2 or codes.dtype.kind not in "iu":
        raise invalid(
            f"{field}.codes",
            f"{codes.dtype} {list(codes.shape)} is not allowed; allowed are integers "
            "[frames, codebooks]",
        )
    most = int(np.iinfo(WIRE_DTYPE).max)
    if codes.dtype != WIRE_DTYPE and codes.size:
        wrong = (codes < 0) | (codes > most)
        if wrong.any():
            frame, codebook = np.argwhere(wrong)[0]
            raise invalid(
                f"{field}.codes",
                f"code {codes[frame, codebook]} at frame {frame}, codebook {codebook}; "
                f"allowed are 0..{most}",
            )
    num_frames, num_codebooks = codes.shape
    return common_pb2.TokenFrames(
        codes=np.ascontiguousarray(codes, WIRE_DTYPE).tobytes(),
        num_frames=num_frames,
        num_codebooks=num_codebooks,
        first_frame=first_frame,
    )


def unpack(
    message: common_pb2.TokenFrames,
    *,
    num_codebooks: int,
    codebook_size: int,
    field: str = "frames",
    max_frames: int | None = None,
) -> Codes:
    """The frames of a message as a read-only uint16 view [F, num_codebooks].

    Raises `InvalidArgument` naming `field` where the width, the length or a code is wrong.
    """
    if message.num_codebooks != num_codebooks:
        raise invalid(
            f"{field}.num_codebooks",
            f"{message.num_codebooks} is not allowed; this model has {num_codebooks}",
        )
    if max_frames is not None and message.num_frames > max_frames:
        raise invalid(
            f"{field}.num_frames", f"{message.num_frames} is too many; at most {max_frames}"
        )
    expected = message.num_frames * num_codebooks * WIRE_DTYPE.itemsize
    if len(message.codes) != expected:
        raise invalid(
            f"{field}.codes",
            f"{len(message.codes)} bytes; {message.num_frames} frames of {num_codebooks} "
            f"codes take {expected}",
        )
    codes = np.frombuffer(message.codes, WIRE_DTYPE).reshape(message.num_frames, num_codebooks)
    if codes.size and int(codes.max()) >= codebook_size:
        frame, codebook = np.argwhere(codes >= codebook_size)[0]
        raise invalid(
            f"{field}.codes",
            f"code {codes[frame, codebook]} at frame {frame}, codebook {codebook}; "
            f"allowed are 0..{codebook_size - 1}",
        )
    return codes
