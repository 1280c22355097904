"""Measurements: each module has `run(...) -> dict` and is called by `csm bench` or `python -m`."""
