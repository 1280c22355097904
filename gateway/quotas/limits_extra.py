"""The package limits, which is an extra: it is imported only where there are quotas."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def limits_extra() -> Iterator[None]:
    """Around an import of what needs it: raises `ValueError` about quotas without it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "limits":
            raise
        raise ValueError(
            "quotas: need the package limits; install it: pip install 'limits>=5.0'"
        ) from None
