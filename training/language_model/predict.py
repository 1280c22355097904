"""The stage `predict`: the corpus in the codes that the language model would say.

The acoustic codes of each frame are drawn as in speech, after the frame's true first code, so that
the codes keep the time of the audio and its phones. They differ from the encoder's wherever text
and past do not tell a code, which is so for most of them. The decoder is polished on both
(`training.codec.polish`): what it will be given in service is these. A first code that is not the
audio's would teach it to doubt what it shall say.

In speech the past is the model's own as well. Frame by frame that would take long; so all frames
are drawn at once, first after the true ones, then after those of the round before.

Parts that the model was not trained on tell most; `--from-part` leaves out the first of each
speaker.
"""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from rich.progress import track
from tokenizers import Tokenizer

from services.generator.model.csm import Csm
from services.generator.model.noise import Noise
from services.generator.model.sampler import SamplingParams, SamplingRows
from training.arguments import parser
from training.codec import codes
from training.codec.codes import codes_path
from training.corpus.store import part_names
from training.language_model.material import lay_out_parts
from training.language_model.run import trained_model
from training.language_model.sampling import SAMPLING
from training.language_model.segments import SegmentTable
from training.memory import keep_freed_memory
from training.tokenizer import build_tokenizer

_POSITIONS_PER_BATCH = 4000
_FRAMES_PER_DRAW = 256
ROUNDS = 2


@torch.no_grad()
def predict(
    model: Csm,
    table: SegmentTable,
    sampling: SamplingParams,
    *,
    seed: int = 0,
    rounds: int = ROUNDS,
) -> list[np.ndarray]:
    """Return codes uint16 [frames, codebooks] for the audio of every segment, its EOS left out.

    Those of the first codebook are the segment's own. After `rounds` the first so many frames are
    what speech would give; those behind them have a past that is drawn too, if not this very one.
    """
    drawer = _Drawer(model, sampling, seed)
    found = [np.zeros((0, table.num_codebooks), dtype=np.uint16)] * len(table)
    for group in _groups(table.lengths):
        rows = [
            torch.from_numpy(
                table.frames[table.offset[index] : table.offset[index + 1]].astype(np.int64)
            )
            for index in group
        ]
        frames = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1)
        # A state predicts the frame behind it; the last of a segment is its EOS.
        spoken = [torch.nonzero(row[1:-1, 0] >= 0).flatten() for row in rows]
        places = torch.cat([torch.full_like(where, row) for row, where in enumerate(spoken)])
        states = places, torch.cat(spoken)
        targets = places, states[1] + 1
        first = frames[*targets, 0].to(model.device)
        for _ in range(rounds):
            hidden = model.hidden_states(frames[:, :-1].to(model.device))
            drawn = drawer.draw(hidden[states], first).cpu()
            frames[*targets, :-1] = drawn
        ends = np.cumsum([len(where) for where in spoken])[:-1]
        for index, own in zip(group, np.split(drawn.numpy().astype(np.uint16), ends), strict=True):
            found[index] = own
    return found


class _Drawer:
    """Draws frames from states, in one fixed shape."""

    def __init__(self, model: Csm, sampling: SamplingParams, seed: int) -> None:
        config, device = model.config, model.device
        self._model = model
        self._rows = SamplingRows(_FRAMES_PER_DRAW, device=device)
        self._noise = Noise(
            _FRAMES_PER_DRAW, config.num_codebooks, config.audio_vocab_size, device=device
        )
        for slot in range(_FRAMES_PER_DRAW):
            self._rows.set(slot, sampling)
            self._noise.seed(slot, seed * _FRAMES_PER_DRAW + slot)
        self._all = torch.ones(_FRAMES_PER_DRAW, dtype=torch.bool)

    def draw(self, hidden: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
        """Return int64 [frames, codebooks] of states [frames, width] and first codes [frames]."""
        drawn = []
        for states, known in zip(
            hidden.split(_FRAMES_PER_DRAW), first.split(_FRAMES_PER_DRAW), strict=True
        ):
            room = _FRAMES_PER_DRAW - len(states)
            frames = self._model.complete_frame(
                torch.nn.functional.pad(states, (0, 0, 0, room)),
                torch.nn.functional.pad(known, (0, room)),
                self._rows,
                self._noise.fill(self._all),
            )
            drawn.append(frames[: len(states)])
        return torch.cat(drawn)


def _groups(lengths: np.ndarray) -> list[list[int]]:
    """Segments by length, so many that a batch, padded, holds about the positions it may."""
    groups: list[list[int]] = [[]]
    for index in np.argsort(lengths, kind="stable").tolist():
        if (len(groups[-1]) + 1) * int(lengths[index]) > _POSITIONS_PER_BATCH and groups[-1]:
            groups.append([])
        groups[-1].append(index)
    return [group for group in groups if group]


def predict_parts(
    work: Path, names: list[str], model: Csm, tokenizer: Tokenizer, *, seed: int = 0
) -> None:
    """Write the predicted codes of some parts of `train`, those there already left out."""
    waiting = [name for name in names if not codes.is_predicted(work, name)]
    for name in track(waiting, description="predict"):
        table = lay_out_parts(work, "train", [name], tokenizer)
        # Every part by a seed of its own, whichever others are asked for.
        drawn = predict(model, table, SAMPLING, seed=seed + crc32(name.encode()))
        codes.write(codes_path(work, name, predicted=True), drawn)


def main() -> None:
    arguments = parser("language_model.predict", "The corpus in the codes the model would say.")
    arguments.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    arguments.add_argument("--threads", type=int, default=2, help="of torch on the CPU")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument(
        "--from-part", type=int, default=0, help="the first part of each speaker"
    )
    given = arguments.parse_args()
    keep_freed_memory()
    torch.set_num_threads(given.threads)
    names = [
        name
        for name in part_names(given.work / "corpus", "train")
        if int(name.rsplit("-", 1)[1]) >= given.from_part
    ]
    model = trained_model(given.work, given.device)
    # In the order in which parts are worth having, the speakers in turn.
    names.sort(key=lambda name: name.rsplit("-", 1)[1])
    predict_parts(given.work, names, model, build_tokenizer(), seed=given.seed)


if __name__ == "__main__":
    main()
