"""Which `CSM_…` variables there are, and what to say of one that there is not."""

import difflib
import re
from collections.abc import Iterable, Mapping

SERVICES = ("CSM_TOKENIZER_", "CSM_GENERATOR_", "CSM_GATEWAY_")
PLAIN = (
    "CSM_MODEL",
    "CSM_DEBUG",
    "CSM_NATIVE_DIR",
    "CSM_SERVER",
    "CSM_TOKEN",
    "CSM_TOKEN_FILE",
    "CSM_CA",
    "CSM_CERT",
    "CSM_KEY",
)
"""Read by every command."""

# Of compose.yaml, of the scripts that build images, and of what they pass on. They stand in the
# same environment as what is started from the same shell.
_DEPLOYMENT = re.compile(
    r"CSM_(API_KEYS?|BASE_IMAGE|BUILD_CA|CERTIFICATES|ENGINE|EXTRAS|GRAFANA_PASSWORD|LOG_LEVEL"
    r"|MODELS_DIRECTORY|PIP_CONF|REVISION|SBOM|SOURCE|TAG|TORCH_(GPU_)?BACKEND"
    r"|TRACING_(ENDPOINT|SAMPLE_RATIO)|USER|VERSION|VOICES_DIRECTORY|WHEELS"
    r"|[A-Z]+_((GPU_)?IMAGE|MEMORY|CPUS|REPLICAS|PUBLISHED_PORT))"
)
# Kubernetes tells every container of each service of its namespace, `csm-gateway` for one.
_SERVICE_LINKS = re.compile(
    r"CSM_\w+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP)(_(ADDR|PORT|PROTO))?)"
)


def unknown(
    prefix: str, names: Iterable[str], environment: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """What is wrong with the environment of a service, a line each: refused, and warned of.

    A variable that begins with the service's `prefix` must be one of its settings, `names`. Of the
    other `CSM_…` variables only those are warned of that nothing of ours would read. A line names
    the variable and what is close, never a value.
    """
    own = [prefix + name.upper() for name in names]
    refused, warned = [], []
    for variable in sorted(environment):
        given = variable.upper()
        if not given.startswith("CSM_") or given in own or given in PLAIN:
            continue
        if _DEPLOYMENT.fullmatch(given) or _SERVICE_LINKS.fullmatch(given):
            continue
        if given.startswith(prefix):
            refused.append(f"{variable} is not a setting{_close(given, own)}")
        elif not given.startswith(SERVICES):
            warned.append(f"{variable} is read by nothing{_close(given, [*own, *PLAIN])}")
    return refused, warned


def _close(given: str, known: list[str]) -> str:
    close = difflib.get_close_matches(given, known, n=1, cutoff=0.75)
    return f"; did you mean {close[0]}?" if close else ""
