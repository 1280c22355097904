"""The package redis, which is an extra: it is imported only where a store is named."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def redis_extra() -> Iterator[None]:
    """Around an import of what needs it: raises `ValueError` about `store_url` without it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "redis":
            raise
        raise ValueError(
            "store_url: needs the package redis; install it: pip install 'redis>=5.2'"
        ) from None
