"""From nothing to `voices/pico`: corpus, codec, language model, export, evaluation."""
