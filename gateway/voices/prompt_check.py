"""Whether a voice's prompts leave room to speak, asked of the generator itself.

Only its text tokenizer knows how many positions the words of a prompt take, and only its settings
say how long a turn may get. So it is given the prompts as any turn gives them, and no turn.
"""

from collections.abc import Sequence

from gateway.backends.backends import Backends
from gateway.backends.calls import Generation, GenerationOptions
from gateway.backends.convert import context_messages
from gateway.backends.failure import BackendFailure
from gateway.commands import SamplingOptions
from gateway.conversations.segment import Segment
from gateway.hearing.encoder import about

SENTENCE_CHARS = 200
"""The sentence that has to fit beside the prompts: the gateway's longest by default."""


async def check_prompts(
    backends: Backends, speaker: int, prompts: Sequence[Segment], timeout_s: float
) -> None:
    """Raises `InvalidArgument` about `prompts` where they, a sentence and the longest turn do not
    fit the model's context together; other `ServiceError`s as they come."""
    if not prompts:
        return
    words = " ".join(prompt.text for prompt in prompts) + " "
    sentence = Segment(speaker, (words * (SENTENCE_CHARS // len(words) + 1))[:SENTENCE_CHARS])
    options = GenerationOptions(
        "", speaker, SamplingOptions(), None, 0, credit_frames=1, route_key=""
    )
    call = Generation(backends, options, context_messages([*prompts, sentence], []), timeout_s)
    try:
        call.requests.close()
        while await call.answer() is not None:
            pass
    except BackendFailure as failure:
        field = f"prompts, and a sentence of {SENTENCE_CHARS} characters"
        raise about(field, failure.error) from failure
    finally:
        call.cancel()
