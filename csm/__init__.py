"""csm: the client of the CSM server, and what it shares with the services. Never imports torch.

    from csm import Client

The names that `csm.client` exports are had from here too. They are fetched when they are first
asked for, so that who needs a part of the package (a service, `csm --help`) does not load the
client.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from csm.client import *  # noqa: F403

try:
    __version__ = version("csm-server")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"


def __getattr__(name: str) -> Any:
    # All that is exported begins with a capital letter. A module of the package that is not yet
    # imported is asked for here too, by the import system, and must not load the client.
    if name == "__all__":
        return [*import_module("csm.client").__all__, "__version__"]
    if not name[:1].isupper() or name not in (client := import_module("csm.client")).__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(client, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__getattr__("__all__")})
