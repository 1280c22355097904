"""Packages of the extras, imported only where a setting asks for them."""

import contextlib
from collections.abc import Iterator

_REQUIREMENTS = {"limits": "limits>=5.0", "redis": "redis>=5.2"}


@contextlib.contextmanager
def extra(package: str, field: str) -> Iterator[None]:
    """Around an import of what needs `package`: without it raises `ValueError` about `field`, the
    setting that asks for it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ValueError(
            f"{field}: needs the package {package}; install it: "
            f"pip install {_REQUIREMENTS[package]!r}"
        ) from None
