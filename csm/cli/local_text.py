"""What would be spoken of a text by a model directory at hand, without a server or its weights."""

from pathlib import Path

from csm.cli.reporting import CommandError
from csm.client.text import PreparedText, TextOptions

MAX_CHARS = 100_000
FRAME_MS = 80.0
"""Of Mimi; what is asked here is only whether a sentence fits."""


class LocalText:
    """The front end of texts as a gateway over that model has it."""

    def __init__(self, model: Path | None, options: TextOptions) -> None:
        """`model` None: the voice that ships. Reads its config and its text tokenizer."""
        from csm.serving.settings import load
        from gateway.settings import GatewaySettings
        from gateway.text.limits import Limits
        from gateway.text_messages import text_rules_of
        from gateway.texts import rules_of
        from gateway.violations import Violations
        from services.generator.model.characters import readable_characters
        from services.generator.model.config import CsmConfig
        from services.generator.model.text import TextTokenizer
        from services.model_directory import default_model_directory

        directory = model or default_model_directory()
        config = CsmConfig.from_directory(directory)
        self._tokenizer = TextTokenizer.from_directory(directory, config.token_ids)
        settings = load(GatewaySettings, [], "csm text")
        found = Violations()
        self._rules = text_rules_of(found, "text_options", options.to_proto(), rules_of(settings))
        found.raise_any()
        self._limits = Limits.of_model(
            settings.max_sentence_chars,
            config.backbone.max_positions,
            FRAME_MS,
            readable_characters(self._tokenizer),
        )

    def prepare(self, parts: list[str]) -> PreparedText:
        """The text that arrives in these parts."""
        from gateway.prepare import PreparedSentences
        from gateway.text.front_end import FrontEnd
        from gateway.text.lexicon import Lexicon
        from gateway.text.voicing import Voicing
        from gateway.text_messages import prepared

        num_chars = sum(map(len, parts))
        if num_chars > MAX_CHARS:
            raise CommandError(f"text: {num_chars} characters; allowed are 0..{MAX_CHARS}")
        front_end = FrontEnd(self._rules, Voicing.alone(Lexicon(self._rules.lexicon), self._limits))
        found = [one for part in parts for one in front_end.feed(part)] + front_end.finish()
        positions = [len(self._tokenizer.encode(0, one.text)) for one in found]
        text = PreparedSentences(
            found, positions, front_end.warnings(), front_end.trailing_pause_ms
        )
        return PreparedText.from_proto(prepared(text))
