"""Real containers take minutes and an engine: only `pytest -m containers` runs them."""

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "containers" in (config.option.markexpr or ""):
        return
    unwanted = [item for item in items if item.get_closest_marker("containers")]
    if unwanted:
        config.hook.pytest_deselected(items=unwanted)
        items[:] = [item for item in items if item not in unwanted]
