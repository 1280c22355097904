"""csm: what every client and every service of the CSM server shares. Never imports torch."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("csm-server")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"
