"""A voice back into checkpoints, to train it further: the way `export` came.

A model directory holds the averaged weights in fp16. What training needs beside them (heads that
are dropped at export, the optimizer) starts afresh, which costs a few hundred steps. A polished
decoder comes back as the codec's own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from services.generator.model import weights
from services.tokenizer import codec as codecs
from training import checkpoint, provenance
from training.arguments import parser
from training.codec.train import STAGE as CODEC
from training.codec.trained import CodecTraining
from training.language_model.objective import Objective
from training.language_model.run import STAGE as LANGUAGE_MODEL


def unpack(voice: Path, work: Path, *, seed: int = 0) -> list[Path]:
    """Write the checkpoints of the stages `codec` and `language_model` into `work`.

    Args:
        voice: a model directory that says what it was made of (`training.json`).
        work: the work directory; a checkpoint that is there already is not touched.
        seed: of the language model's training, which goes on with it.

    Raises:
        FileNotFoundError: the directory does not say what it was made of.
        FileExistsError: there is a checkpoint already; says which.
    """
    made_of = provenance.read(voice)
    if made_of is None:
        raise FileNotFoundError(f"{voice / provenance.FILE}: no such file; `export` writes it")
    states = {CODEC: _codec(voice, seed), LANGUAGE_MODEL: _language_model(voice, seed)}
    paths = {stage: checkpoint.path_of(work, stage) for stage in states}
    for path in paths.values():
        if path.exists():
            raise FileExistsError(f"{path}: is there already; move it away to start from {voice}")
    for stage, state in states.items():
        done = made_of["stages"][stage]
        state |= {"step": done["steps"], "seconds": 60.0 * done["minutes"]}
        if stage == LANGUAGE_MODEL:
            state |= {"segments": made_of["corpus"]["utterances"], "warm_from": done["steps"]}
        checkpoint.save(paths[stage], state)
    return list(paths.values())


def _codec(voice: Path, seed: int) -> dict[str, Any]:
    mimi = codecs.load(voice, device="cpu")
    training = CodecTraining(mimi.config, seed)
    training.mimi.load_state_dict(mimi.state_dict())
    return {
        "config": mimi.config.to_dict(),
        "model": training.state_dict(),
        "average": training.mimi.state_dict(),
    }


def _language_model(voice: Path, seed: int) -> dict[str, Any]:
    objective = Objective(weights.load(voice).float())
    state = objective.state_dict()
    return {
        "config": objective.model.config.to_dict(),
        "objective": state,
        "average": state,
        "seed": seed,
        "epoch": 0,
        "batch": 0,
        "skipped": 0,
    }


def main() -> None:
    given = parser("unpack", __doc__)
    given.add_argument("--voice", type=Path, default=Path("models/pico"), help="model directory")
    given.add_argument("--seed", type=int, default=0)
    arguments = given.parse_args()
    try:
        for path in unpack(arguments.voice, arguments.work, seed=arguments.seed):
            print(path)
    except OSError as error:
        given.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
