"""The frame on CUDA without launches from Python: see `model`."""
