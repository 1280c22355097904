"""English text in the words that are read aloud."""

from gateway.text.spoken.form import spoken_form, spoken_words

__all__ = ["spoken_form", "spoken_words"]
