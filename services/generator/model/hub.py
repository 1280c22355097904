"""Model directories from the Hugging Face hub, and what one on disk is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from services.generator.model import files, layouts, weights
from services.generator.model.config import CsmConfig
from services.generator.model.files import ModelWeightsError, TensorFiles

ALLOW_PATTERNS = ("*.json", "*.safetensors", "LICENSE*", "README.md")
"""What is fetched of a repository: never a pickle (`ckpt.pt`), never sound samples."""

Progress = Callable[[int, int | None], None]
"""Called with bytes done and bytes in all (None: not known yet), from any thread."""


class PullError(Exception):
    """A repository could not be fetched; the message says what to do."""


@dataclass(frozen=True)
class ModelDescription:
    """What `csm models info` tells. Read from headers alone.

    `digest` is sha256 over the safetensors' headers and sizes: it tells models of different names,
    shapes, dtypes or sizes apart, not different values of the same shapes.
    """

    path: Path
    layout: str
    config: CsmConfig
    parameters: int
    parameters_by_part: dict[str, int]
    codec_parameters: int
    weight_bytes: int
    dtypes: tuple[str, ...]
    files: tuple[Path, ...]
    has_tokenizer: bool
    digest: str


def describe(path: Path | str) -> ModelDescription:
    """Describe a model directory or safetensors file without loading it.

    Raises:
        ModelWeightsError, ConfigError: it is no CSM, or broken; as `weights.load`.
    """
    path = Path(path)
    found = TensorFiles.find(path)
    layout = layouts.detect(found.tensors)
    if layout is None:
        raise ModelWeightsError(f"{path}: no text embedding among its tensors: not a CSM")
    config = weights.read_config(path, found)
    twins = layouts.aliases(layout)
    parts: Counter[str] = Counter()
    codec_parameters, dtypes = 0, set()
    for name, info in found.tensors.items():
        count = info.elements
        if name.startswith("codec_model."):
            codec_parameters += count
            continue
        dtypes.add(info.dtype)
        if not layouts.is_ignorable(name) and twins.get(name) not in found.tensors:
            parts[layouts.part(name)] += count
    directory = path if path.is_dir() else path.parent
    return ModelDescription(
        path=path,
        layout=layout.value,
        config=config,
        parameters=sum(parts.values()),
        parameters_by_part=dict(sorted(parts.items())),
        codec_parameters=codec_parameters,
        weight_bytes=sum(file.stat().st_size for file in found.files),
        dtypes=tuple(sorted(dtypes)),
        files=found.files,
        has_tokenizer=(directory / "tokenizer.json").is_file(),
        digest=found.digest(),
    )


def pull(
    repo_id: str,
    directory: Path | str,
    progress: Progress | None = None,
    *,
    revision: str | None = None,
    endpoint: str | None = None,
) -> Path:
    """Fetch a repository's safetensors, configs and tokenizer into a directory.

    What is there already is not fetched again. Of a repository with shards behind an index, the
    single original file is left out, since both hold the same weights.

    Args:
        repo_id: `owner/name`.
        directory: made where it is missing.
        progress: told about bytes as they come.
        revision: a branch, tag or commit.
        endpoint: another hub than HF_ENDPOINT's.

    Raises:
        PullError: gated, unknown, unreachable or no space; the message says what to do.
    """
    # Heavy, and needed by nobody who has a model.
    from huggingface_hub import HfApi, snapshot_download

    try:
        info = HfApi(endpoint=endpoint).model_info(repo_id, revision=revision, files_metadata=True)
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
        ignored = _ignored(sizes)
        wanted = [
            name
            for name in sizes
            if name not in ignored and any(fnmatch(name, like) for like in ALLOW_PATTERNS)
        ]
        if not any(name.endswith(".safetensors") for name in wanted):
            raise PullError(f"{repo_id} holds no safetensors file, and pickles are never fetched")
        total = sum(sizes[name] for name in wanted) or None
        snapshot_download(
            repo_id,
            revision=revision,
            local_dir=directory,
            allow_patterns=list(ALLOW_PATTERNS),
            ignore_patterns=ignored,
            endpoint=endpoint,
            tqdm_class=_progress_bar(progress, total) if progress else None,
        )
    except PullError:
        raise
    except Exception as error:
        message = _what_to_do(error, repo_id, revision)
        if message is None:
            raise
        raise PullError(message) from error
    return Path(directory)


def _ignored(names: Iterable[str]) -> list[str]:
    present = set(names)
    has_shards = any(index in present for index in files.INDEX_NAMES)
    return [files.SINGLE_NAME] if has_shards and files.SINGLE_NAME in present else []


def _what_to_do(error: Exception, repo_id: str, revision: str | None) -> str | None:
    """Return what to tell a user of an error of the hub, None where it is none of the hub's."""
    from huggingface_hub import errors

    page = f"https://huggingface.co/{repo_id}"
    instead = "or pass the path of a model directory you have"
    if isinstance(error, errors.GatedRepoError):
        return (
            f"{repo_id} is gated: accept its licence at {page} while logged in, then run "
            f"`hf auth login` or set HF_TOKEN, and try again; {instead}"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"{repo_id}: no such repository, or a private one: check the name at {page}; for a "
            f"private one run `hf auth login` or set HF_TOKEN; {instead}"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repo_id} has no revision {revision!r}: see {page}/tree/main"
    if isinstance(error, errors.HFValidationError):
        return f"{repo_id!r} is not allowed as a repository, must be owner/name: {error}"
    if isinstance(error, errors.OfflineModeIsEnabled):
        return f"HF_HUB_OFFLINE is set, so {repo_id} was not fetched: unset it, {instead}"
    # The HTTP client under the hub library has errors of its own (no route, bad certificate).
    client = type(error).__module__.split(".")[0].rstrip("0123456789")
    reason = (str(error).splitlines() or [""])[0]
    if isinstance(error, OSError) or client in {"httpx", "httpcore", "requests"}:
        return (
            f"{repo_id} could not be fetched ({type(error).__name__}: {reason}): check the network "
            f"(HTTPS_PROXY, HF_ENDPOINT for a mirror) and the disk, {instead}"
        )
    return None


def _progress_bar(progress: Progress, total: int | None) -> type[Any]:
    """Return a tqdm class that draws nothing and tells `progress` the bytes of all files."""
    from tqdm.auto import tqdm  # type: ignore[import-untyped]

    class Reporter(tqdm):
        most = 0

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._counts_bytes = kwargs.get("unit") == "B"
            self._bytes = 0
            kwargs["disable"] = True
            kwargs.pop("name", None)
            super().__init__(*args, **kwargs)

        def update(self, n: float | None = 1) -> bool | None:
            # Two such bars are kept, of bytes received and written: the further one counts.
            if self._counts_bytes and n:
                self._bytes += int(n)
                if self._bytes > Reporter.most:
                    Reporter.most = self._bytes
                    progress(self._bytes, total)
            return super().update(n)

    return Reporter
