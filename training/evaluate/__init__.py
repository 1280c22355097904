"""Measures a voice: `python -m training.evaluate --work build/pico --voice models/pico`."""
