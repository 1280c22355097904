"""festival with the HTS voice cmu_us_slt_arctic at 32 kHz: the one teacher above 8 kHz.

Debian packages: `festival`, `festvox-us-slt-hts`. Zen et al., "The HMM-based speech synthesis
system (HTS) version 2.0", 2007.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import soundfile

from training.corpus.teachers.speech import Speech, SpokenPhone, TeacherError

# One process speaks this many texts: its start costs 0.2 s, and it keeps what it has read.
_BATCH = 200
_TIMEOUT_S = 600.0
_PROGRAM = """
(voice_{voice})
(define (say number text)
  (let ((utt (utt.synth (eval (list 'Utterance 'Text text)))))
    (utt.save.wave utt (string-append "{folder}/" number ".wav") 'riff)
    (format t "utterance %s\\n" number)
    (let ((s (utt.relation.first utt 'Segment)))
      (while s
        (format t "%s %f %s\\n" (item.name s) (item.feat s "end")
          (item.feat s "R:SylStructure.parent.parent.R:Token.parent.name"))
        (set! s (item.next s))))))
"""
# What a feature path gives that leads nowhere.
_NOWHERE = "0"


class Festival:
    """One voice of festival."""

    def __init__(self, voice: str) -> None:
        self._voice = voice

    def speak(self, texts: list[str]) -> Iterator[Speech]:
        """Speak each of `texts`.

        Raises:
            TeacherError: festival or the voice is not installed, or it stopped.
        """
        for start in range(0, len(texts), _BATCH):
            with tempfile.TemporaryDirectory() as folder:
                yield from self._batch(texts[start : start + _BATCH], Path(folder))

    def _batch(self, texts: list[str], folder: Path) -> Iterator[Speech]:
        program = folder / "say.scm"
        lines = [_PROGRAM.format(voice=self._voice, folder=folder)]
        for number, text in enumerate(texts):
            quoted = text.replace("\\", "").replace('"', "")
            lines.append(f'(say "{number}" "{quoted}")')
        program.write_text("\n".join(lines), encoding="ascii", errors="ignore")
        try:
            done = subprocess.run(
                ["festival", "-b", str(program)],
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except FileNotFoundError as error:
            raise TeacherError(
                "festival is not installed: apt-get install festival festvox-us-slt-hts"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise TeacherError(f"festival did not answer within {_TIMEOUT_S:.0f} s") from error
        phones = _parse(done.stdout)
        if done.returncode or len(phones) != len(texts):
            raise TeacherError(
                f"festival spoke {len(phones)} of {len(texts)} texts: {done.stderr.strip()[-300:]}"
            )
        for number in range(len(texts)):
            audio, rate_hz = soundfile.read(folder / f"{number}.wav", dtype="int16")
            yield Speech(audio, rate_hz, phones[number])


def _parse(output: str) -> list[tuple[SpokenPhone, ...]]:
    utterances: list[list[SpokenPhone]] = []
    for line in output.splitlines():
        if line.startswith("utterance "):
            utterances.append([])
            continue
        name, end_s, token = line.split(" ", 2)
        word = "" if token == _NOWHERE else token
        utterances[-1].append(SpokenPhone(name, float(end_s), word))
    return [tuple(phones) for phones in utterances]
