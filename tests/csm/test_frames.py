import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from csm.audio import frames
from csm.errors import InvalidArgument
from csm.v1 import common_pb2


@given(hnp.arrays(np.uint16, st.tuples(st.integers(0, 9), st.integers(1, 40))))
def test_frames_survive_the_wire(codes: np.ndarray) -> None:
    message = common_pb2.TokenFrames.FromString(frames.pack(codes, 7).SerializeToString())
    assert message.first_frame == 7
    back = frames.unpack(message, num_codebooks=codes.shape[1], codebook_size=1 << 16)
    np.testing.assert_array_equal(back, codes)


def test_codes_are_little_endian_and_frame_major() -> None:
    packed = frames.pack(np.array([[1, 258], [3, 4]], np.int64))
    assert packed.codes == bytes([1, 0, 2, 1, 3, 0, 4, 0])


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"num_codebooks": 3}, "f.num_codebooks", "3 is not allowed; this model has 2"),
        ({"num_frames": 3}, "f.codes", "8 bytes; 3 frames of 2 codes take 12"),
        ({"codes": b"\0" * 7}, "f.codes", "7 bytes"),
        ({"codes": b"\0" * 6 + b"\x05\0"}, "f.codes", "code 5 at frame 1, codebook 1"),
        ({"codes": b"\0" * 400, "num_frames": 100}, "f.num_frames", "100 is too many; at most 50"),
    ],
)
def test_wrong_frames_are_named(change: dict, field: str, says: str) -> None:
    good = {"codes": b"\0" * 8, "num_frames": 2, "num_codebooks": 2}
    message = common_pb2.TokenFrames(**{**good, **change})
    with pytest.raises(InvalidArgument) as caught:
        frames.unpack(message, num_codebooks=2, codebook_size=5, field="f", max_frames=50)
    assert caught.value.violations[0].field == field
    assert says in caught.value.violations[0].description
