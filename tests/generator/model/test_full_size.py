"""CSM-1B's own size, once: transformers on the same memory, then Sesame's layout from a file.

Needs about 14 GiB of memory, 7 GiB of disk and several minutes.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from services.generator.model import files, weights
from services.generator.model.config import CsmConfig
from services.generator.model.generate import generate
from services.generator.model.sampling import GREEDY
from tests.generator.model import oracle as model_oracle
from tests.generator.model.test_parity import embedded_by, two_audio_segments

FRAMES = 50


@pytest.mark.slow
@torch.inference_mode()
def test_csm_1b_equals_transformers_and_its_sesame_named_copy(tmp_path: Path) -> None:
    config = CsmConfig.named("csm-1b")
    torch.set_num_threads(2)
    # transformers' audio ids lie in the text vocabulary; random text keeps clear of them.
    ids_of = config.token_ids
    assert (ids_of.audio_token_id, ids_of.audio_eos_token_id) == (128002, 128003)
    model = weights.create(config, seed=1)
    theirs = model_oracle.oracle(model)

    frames = torch.tensor(model_oracle.random_frames(config, np.random.default_rng(2)))
    expected = theirs(inputs_embeds=embedded_by(theirs, frames)[None]).logits[0]
    ours = model.lm_head(model.hidden_states(frames[None]))[0]
    backbone_error = (ours - expected).abs().max().item()
    assert expected.std() > 0.3
    assert backbone_error < 1e-4

    hidden = theirs.backbone_model(
        inputs_embeds=embedded_by(theirs, frames)[None]
    ).last_hidden_state[0, -4:]
    codes = torch.randint(0, config.codebook_size, (4, config.num_codebooks))
    placeholder = torch.nn.functional.pad(codes[:, :-1], (1, 0))
    expected = theirs.depth_decoder(
        input_ids=placeholder, backbone_last_hidden_state=hidden.clone()
    ).logits
    depth_error = (model.depth_logits(hidden, codes) - expected).abs().max().item()
    assert expected.std() > 0.3
    assert depth_error < 1e-4

    ids, inputs, prompt = two_audio_segments(theirs, config, seed=5, vocab=128_000)
    expected = model_oracle.their_greedy(theirs, ids, FRAMES, **inputs)
    greedy = generate(model, prompt, GREEDY, FRAMES)
    assert len(greedy) == FRAMES
    assert torch.equal(greedy, expected)
    assert greedy.unique(dim=0).shape[0] > 10

    del theirs, expected
    files.write(tmp_path / "model.safetensors", weights.state_dict_sesame(model))
    flavors = {"backbone_flavor": "llama-1B", "decoder_flavor": "llama-100M"}
    (tmp_path / "config.json").write_text(json.dumps(flavors))
    bytes_of_model = sum(value.numel() * 4 for value in model.parameters())
    del model
    gc.collect()

    copy = weights.load(tmp_path)
    assert copy.config == config
    (tmp_path / "model.safetensors").unlink()
    again = generate(copy, prompt, GREEDY, FRAMES)
    assert torch.equal(again, greedy)
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        f"logits differ by {backbone_error:.1e} (backbone) and {depth_error:.1e} (depth), "
        f"{FRAMES} frames are equal, peak memory {peak_bytes / 2**30:.1f} GiB for a model of "
        f"{bytes_of_model / 2**30:.1f} GiB",
        file=sys.stderr,
    )
