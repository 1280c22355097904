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


@pytest.mark.parametrize(
    ("codes", "says"),
    [
        (
            np.array([[1, 2], [3, 65_536]]),
            "code 65536 at frame 1, codebook 1; allowed are 0..65535",
        ),
        (np.array([[1, -1]], np.int16), "code -1 at frame 0, codebook 1; allowed are 0..65535"),
        (np.array([[2**63]], np.uint64), "code 9223372036854775808 at frame 0, codebook 0"),
        (np.array([[1.5, 2.0]]), "float64 [1, 2] is not allowed; allowed are integers"),
        (np.array([1, 2]), "int64 [2] is not allowed; allowed are integers [frames, codebooks]"),
    ],
)
def test_codes_that_the_wire_cannot_hold_are_refused_and_never_wrapped(
    codes: np.ndarray, says: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        frames.pack(codes, field="f")
    assert caught.value.violations[0].field == "f.codes"
    assert says in caught.value.violations[0].description


def test_the_largest_codes_of_any_integer_type_are_packed() -> None:
    for kind in (np.uint16, ">u2", np.int32, np.uint64):
        assert frames.pack(np.array([[65_535, 0]], kind)).codes == b"\xff\xff\0\0"
