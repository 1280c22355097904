"""Codes in a safetensors file on disk."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from csm.audio.pcm import AudioError
from csm.audio.stored_codes import StoredCodes
from csm.cli.place import whole_file
from csm.cli.reporting import CommandError


@dataclass(frozen=True)
class CodeFile(StoredCodes):
    """An encoded recording."""

    def write(self, path: Path) -> None:
        """Writes the file in one go; `-` is standard output."""
        with whole_file(path) as part:
            part.write_bytes(self.to_bytes())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads a file; also one of another's making with just the tensor.

        Raises `CommandError` naming the file, what is wrong and what is allowed.
        """
        if not path.is_file():
            raise CommandError(f"{path}: {'is a directory' if path.is_dir() else 'no such file'}")
        try:
            return cls.from_bytes(path.read_bytes(), str(path))
        except AudioError as error:
            raise CommandError(f"{path}: {error.description}") from None
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}") from None

    def check(self, path: Path, num_codebooks: int, codebook_size: int) -> None:
        """Raises `CommandError` where a codec of these sizes cannot decode the codes."""
        try:
            self.check_codec(str(path), num_codebooks, codebook_size)
        except AudioError as error:
            raise CommandError(f"{path}: {error.description}") from None
