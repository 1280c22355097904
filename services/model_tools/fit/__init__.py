"""Whether a model fits a machine: memory, milliseconds a frame, conversations, what to set."""
