"""From nothing to `models/pico`: corpus, codec, language model, export, evaluation."""
