"""`csm speak`, `generate`, `encode` and `decode` from a shell's point of view."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.csm.cli.conftest import PICO, Csm, chirp
from tests.pico import BOOKS, CODEBOOK_SIZE

LOCAL = ("--threads", 1, "--model", PICO)
DYING_AWAY = 120
"""Samples that a turn has more which is cut off in the middle of a sound: nothing clicks."""
Process = Callable[..., "subprocess.CompletedProcess[str]"]


def test_a_text_becomes_a_wav_and_figures(process: Process, tmp_path: Path) -> None:
    file = tmp_path / "hello.wav"
    done = process("speak", "Hello there.", "-o", file, "--seed", 1, *LOCAL)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    samples, rate_hz = soundfile.read(file)
    assert rate_hz == 24_000
    assert len(samples) % 1920 == 0
    assert 0.3 < len(samples) / rate_hz < 10.0
    assert np.abs(samples).max() > 0.01
    seconds = re.search(r"audio length +([\d.]+) s", done.stderr)
    assert seconds
    assert float(seconds[1]) == pytest.approx(len(samples) / rate_hz, abs=0.006)
    assert re.search(r"time to first audio +\d+ ms", done.stderr)
    assert re.search(r"real-time factor +[\d.]+", done.stderr)


def test_words_and_their_times_are_written_as_json(csm: Csm, tmp_path: Path) -> None:
    text = "It is 2026, my friend."
    result = csm("speak", text, "-o", tmp_path / "a.wav", "--words", tmp_path / "a.json", *LOCAL)
    assert result.exit_code == 0, result.output
    words = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert [word["word"] for word in words] == ["It", "is", "2026", "my", "friend"]
    assert [text[word["first_char"] : word["end_char"]] for word in words] == [
        word["word"] for word in words
    ]
    starts = [word["start_ms"] for word in words]
    assert starts == sorted(starts)
    assert starts[-1] < 1000 * soundfile.info(tmp_path / "a.wav").duration


def test_sound_and_words_do_not_both_go_to_standard_output(csm: Csm) -> None:
    result = csm("speak", "Yes.", "-o", "-", "--words", "-", *LOCAL)
    assert result.exit_code == 1
    assert "one of them needs a file" in result.output


def test_the_same_seed_writes_the_same_file(csm: Csm, tmp_path: Path) -> None:
    for name in ("a", "b"):
        result = csm("speak", "Good evening.", "-o", tmp_path / f"{name}.wav", "--seed", 4, *LOCAL)
        assert result.exit_code == 0, result.output
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_format_rate_and_depth_are_as_asked(csm: Csm, tmp_path: Path) -> None:
    for name, options, rate_hz, subtype in (
        ("a.wav", ("--rate", 48_000, "--bit-depth", "24"), 48_000, "PCM_24"),
        ("b.flac", ("--rate", 16_000), 16_000, "PCM_16"),
        ("c.ogg", (), 24_000, "VORBIS"),
        ("d.wav", ("--bit-depth", "float"), 24_000, "FLOAT"),
    ):
        file = tmp_path / name
        result = csm("speak", "Yes.", "-o", file, "--seed", 1, "--max-audio-ms", 800, *options,
                     *LOCAL)  # fmt: skip
        assert result.exit_code == 0, result.output
        found = soundfile.info(file)
        assert (found.samplerate, found.subtype, found.channels) == (rate_hz, subtype, 1)
        assert found.frames > 0


def test_standard_input_is_read_and_standard_output_written(
    process: Process, tmp_path: Path
) -> None:
    import sys

    from tests.csm.cli.conftest import ROOT

    command = [sys.executable, "-m", "csm.cli.main", "speak", "-", "-o", "-", "--seed", "1",
               "--max-audio-ms", "400", *map(str, LOCAL)]  # fmt: skip
    done = subprocess.run(
        command, cwd=ROOT, input=b"Hello there.\n", capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout[:4] == b"RIFF"
    assert len(done.stdout) > 44 + 1920 * 2


def test_what_is_left_out_is_said_with_its_place_in_the_whole_text(
    csm: Csm, tmp_path: Path
) -> None:
    # Cyrillic, of which this model's tokenizer knows no character, in the second part.
    text = "Well." + " " * 5000 + "\u041f\u0440\u0438\u0432\u0435\u0442. Bye."
    place = text.index("\u041f")
    result = csm("speak", text, "-o", tmp_path / "x.wav", *LOCAL)
    assert result.exit_code == 0, result.output
    warnings = [line for line in result.stderr.splitlines() if "warning" in line]
    assert f"text, characters {place} to {place + 7}" in warnings[-1], warnings
    assert "\u041f" not in "".join(warnings)


def test_nine_kilobytes_of_standard_input_are_said(csm: Csm, tmp_path: Path) -> None:
    text = "Well, I do not know. " * 430
    file = tmp_path / "long.wav"
    result = csm("speak", "-", "-o", file, "--seed", 1, "--max-audio-ms", 400, *LOCAL, input=text)
    assert result.exit_code == 0, result.output
    # Each part has the longest audio that was allowed.
    frames = soundfile.info(file).frames
    assert frames > 2 * 9600


def test_standard_input_that_is_no_text_is_said(csm: Csm, tmp_path: Path) -> None:
    for given, word in ((b"caf\xe9 \xff", "UTF-8"), (b"a " * 600_000, "bytes")):
        result = csm("speak", "-", "-o", tmp_path / "x.wav", *LOCAL, input=given)
        assert result.exit_code == 1
        assert word in result.stderr
        assert "Traceback" not in result.stderr


def test_the_voices_of_a_directory_are_listed_and_spoken(csm: Csm, tmp_path: Path) -> None:
    (tmp_path / "voices" / "anna").mkdir(parents=True)
    about = {"speaker": 1, "description": "A friend."}
    (tmp_path / "voices" / "anna" / "voice.json").write_text(json.dumps(about))
    given = ("--voices", tmp_path / "voices")
    result = csm("voices", "list", *given, "--model", PICO)
    assert result.exit_code == 0, result.output
    assert re.search(r"^anna +speaker 1: A friend\.$", result.stdout, re.MULTILINE)
    result = csm("voices", "list", *given, "--model", PICO, "--json")
    assert "anna" in [one["name"] for one in json.loads(result.stdout)]
    file = tmp_path / "x.wav"
    result = csm("speak", "Yes.", "-o", file, "--voice", "anna", *given, "--max-audio-ms", 400,
                 *LOCAL)  # fmt: skip
    assert result.exit_code == 0, result.output
    assert soundfile.info(file).frames > 0


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("", (), ("text",)),
        ("\x00\x07", (), ("text",)),
        ("\U0001f600\U0001f680", (), ("text",)),
        ("a" * 100_000, (), ("text", "4096")),
        ("Hi.", ("--temperature", "nan"), ("temperature", "nan")),
        ("Hi.", ("--temperature", "-1"), ("temperature", "-1")),
        ("Hi.", ("--top-p", "0"), ("top_p", "0")),
        ("Hi.", ("--seed", "-1"), ("seed", "-1")),
        ("Hi.", ("--voice", "nobody"), ("nobody",)),
        ("Hi.", ("--rate", "768000"), ("sample_rate_hz", "768000")),
        ("Hi.", ("--max-audio-ms", "10"), ("max_audio_ms", "10")),
    ],
)
def test_a_bad_request_is_one_line_naming_the_field(
    csm: Csm, tmp_path: Path, text: str, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    file = tmp_path / "x.wav"
    result = csm("speak", text, "-o", file, *options, *LOCAL)
    assert result.exit_code == 1
    lines = [line for line in result.stderr.splitlines() if line.startswith("csm: ")]
    assert len(lines) == 1, result.stderr
    for word in words:
        assert word in lines[0]
    assert "Traceback" not in result.stderr
    assert not file.exists()


def test_a_server_that_is_not_there_is_named(csm: Csm, tmp_path: Path) -> None:
    result = csm("speak", "Hi.", "-o", tmp_path / "x.wav", "--server", "127.0.0.1:1")
    assert result.exit_code == 1
    assert "127.0.0.1:1" in result.stderr


def test_a_recording_goes_to_codes_and_back_at_its_exact_length(csm: Csm, tmp_path: Path) -> None:
    codes = tmp_path / "x.safetensors"
    for rate_hz, seconds, container, subtype in (
        (16_000, 0.7, "wav", "PCM_U8"),
        (44_100, 1.234, "wav", "PCM_16"),
        (48_000, 0.5, "wav", "PCM_24"),
        (8_000, 0.31, "wav", "PCM_32"),
        (96_000, 0.4, "wav", "FLOAT"),
        (22_050, 0.9, "flac", "PCM_16"),
        (32_000, 0.6, "ogg", "VORBIS"),
    ):
        source = tmp_path / f"in.{container}"
        samples = chirp(rate_hz, seconds)
        soundfile.write(source, np.stack([samples, samples], 1), rate_hz, subtype=subtype)
        result = csm("encode", source, "-o", codes, *LOCAL)
        assert result.exit_code == 0, result.output
        back = tmp_path / "back.wav"
        result = csm("decode", codes, "-o", back, *LOCAL)
        assert result.exit_code == 0, result.output
        found = soundfile.info(back)
        assert found.samplerate == 24_000
        assert abs(found.frames - len(samples) * 24_000 / rate_hz) <= 1


def test_decoding_writes_every_depth_rate_and_container(csm: Csm, tmp_path: Path) -> None:
    source, codes = tmp_path / "in.wav", tmp_path / "in.safetensors"
    soundfile.write(source, chirp(24_000, 0.5), 24_000)
    assert csm("encode", source, *LOCAL).exit_code == 0
    assert codes.is_file()
    plain = tmp_path / "plain.wav"
    assert csm("decode", codes, "-o", plain, "--bit-depth", "float", *LOCAL).exit_code == 0
    reference, _ = soundfile.read(plain)
    for name, options, subtype, rate_hz in (
        ("8.wav", ("--bit-depth", "8"), "PCM_U8", 24_000),
        ("16.wav", (), "PCM_16", 24_000),
        ("24.wav", ("--bit-depth", "24"), "PCM_24", 24_000),
        ("32.wav", ("--bit-depth", "32"), "PCM_32", 24_000),
        ("x.flac", ("--rate", "44100"), "PCM_16", 44_100),
        ("x.ogg", ("--rate", "48000"), "VORBIS", 48_000),
        ("x.mp3", (), "MPEG_LAYER_III", 24_000),
        ("x.data", ("--format", "wav", "--rate", "8000"), "PCM_16", 8_000),
    ):
        file = tmp_path / name
        result = csm("decode", codes, "-o", file, *options, *LOCAL)
        assert result.exit_code == 0, result.output
        found = soundfile.info(file)
        assert (found.subtype, found.samplerate) == (subtype, rate_hz)
        if name.endswith(".wav"):
            samples, _ = soundfile.read(file)
            np.testing.assert_allclose(samples, reference, atol=2**-7)
        if subtype != "MPEG_LAYER_III":
            assert abs(found.frames - rate_hz // 2) <= 1


def bad_files(directory: Path) -> dict[str, tuple[bytes, str]]:
    """Content of files that are no good, and a word of the reason."""
    good = directory / "good.wav"
    soundfile.write(good, chirp(24_000, 0.2), 24_000)
    whole = good.read_bytes()
    for name, rate_hz, channels in (("rate", 768_000, 1), ("channels", 24_000, 7)):
        soundfile.write(directory / name, np.zeros((100, channels)), rate_hz, format="WAV")
    soundfile.write(directory / "nan", np.full(100, np.nan), 24_000, "FLOAT", format="WAV")
    soundfile.write(directory / "none", np.zeros(0), 24_000, format="WAV")
    return {
        "empty.wav": (b"", "empty"),
        "text.wav": (b"this is not audio at all", "not audio"),
        "cut.wav": (whole[:-1000], "truncated"),
        "head.wav": (whole[:30], "truncated"),
        "rate.wav": ((directory / "rate").read_bytes(), "768000"),
        "channels.wav": ((directory / "channels").read_bytes(), "7 channels"),
        "nan.wav": ((directory / "nan").read_bytes(), "nan"),
        "none.wav": ((directory / "none").read_bytes(), "zero frames"),
    }


def test_a_bad_recording_is_named_with_the_reason(csm: Csm, tmp_path: Path) -> None:
    for name, (content, word) in bad_files(tmp_path).items():
        source = tmp_path / name
        source.write_bytes(content)
        result = csm("encode", source, "-o", tmp_path / "x.safetensors", *LOCAL)
        assert result.exit_code == 1, name
        lines = [line for line in result.stderr.splitlines() if line.startswith("csm: ")]
        assert len(lines) == 1, result.stderr
        assert str(source) in lines[0]
        assert word in lines[0].lower()
        assert not (tmp_path / "x.safetensors").exists()


def test_codes_of_another_width_are_refused_with_the_file_s_name(csm: Csm, tmp_path: Path) -> None:
    from csm.cli.code_file import CodeFile

    too_large = np.full((3, BOOKS), CODEBOOK_SIZE)
    for codes, word in ((np.zeros((3, 32)), "32"), (too_large, str(CODEBOOK_SIZE))):
        file = tmp_path / "x.safetensors"
        CodeFile(codes.astype(np.uint16), 0, 24_000).write(file)
        result = csm("decode", file, *LOCAL)
        assert result.exit_code == 1
        assert str(file) in result.stderr
        assert word in result.stderr


def test_codes_of_another_codec_are_decoded_with_a_warning(csm: Csm, tmp_path: Path) -> None:
    from csm.cli.code_file import CodeFile

    file = tmp_path / "x.safetensors"
    CodeFile(np.zeros((3, BOOKS), np.uint16), 0, 24_000, "other", "abc").write(file)
    result = csm("decode", file, *LOCAL)
    assert result.exit_code == 0
    assert "warning" in result.stderr


@pytest.mark.skipif(not shutil.which("flite"), reason="flite is not installed")
def test_a_recording_made_elsewhere_is_continued(csm: Csm, tmp_path: Path) -> None:
    source = tmp_path / "in.wav"
    subprocess.run(["flite", "-t", "The evening train was late again", "-o", source], check=True)
    assert soundfile.info(source).samplerate != 24_000
    output = tmp_path / "out.wav"
    result = csm("generate", "-w", PICO, "-i", source, "-o", output, "-m", 20, "-t", 0.8, "-k", 50,
                 "-p", 0.9, "--prompt-text", "the evening train was late again",
                 "--text", "and again until nobody came", "--seed", 1, "--threads", 1)  # fmt: skip
    assert result.exit_code == 0, result.output
    samples, rate_hz = soundfile.read(output)
    assert rate_hz == 24_000
    assert 5 * 1920 <= len(samples) <= 20 * 1920 + DYING_AWAY
    assert np.abs(samples).max() > 0.01


def test_the_audio_goes_on_where_a_recording_breaks_off(csm: Csm, tmp_path: Path) -> None:
    whole, cut, output = (tmp_path / name for name in ("whole.wav", "cut.wav", "rest.wav"))
    text = "the evening train was late again."
    assert csm("speak", text, "-o", whole, "--seed", 1, *LOCAL).exit_code == 0
    samples, rate_hz = soundfile.read(whole)
    soundfile.write(cut, samples[: len(samples) // 2], rate_hz)
    result = csm("generate", "-w", PICO, "-i", cut, "-o", output, "--prompt-text", text,
                 "--seed", 1, "--threads", 1)  # fmt: skip
    assert result.exit_code == 0, result.output
    assert soundfile.info(output).frames >= 3 * 1920


def test_a_flavor_that_the_weights_are_not_is_refused(csm: Csm, tmp_path: Path) -> None:
    source = tmp_path / "in.wav"
    soundfile.write(source, chirp(16_000, 0.5), 16_000)
    result = csm("generate", "-w", PICO, "-f", "llama-1B", "-i", source, "-o", tmp_path / "o.wav")
    assert result.exit_code == 1
    assert "is not llama-1B" in result.stderr


def test_random_weights_run_end_to_end(csm: Csm, tmp_path: Path) -> None:
    from tests.csm.cli.test_models import shape_file

    made, spoken = tmp_path / "m", tmp_path / "x.wav"
    assert csm("models", "create", "--shape", shape_file(tmp_path), "-o", made).exit_code == 0
    result = csm("speak", "Hi there, 漢字!", "-o", spoken, "--model", made,
                 "--max-audio-ms", 800, "--threads", 1)  # fmt: skip
    assert result.exit_code == 0, result.output
    assert soundfile.info(spoken).frames > 0
    assert json.loads((made / "config.json").read_text())["num_codebooks"] == 5
    # A text after a recording, as a turn of its own.
    for weights in (made, made / "model.safetensors"):
        result = csm("generate", "-w", weights, "-i", spoken, "-o", tmp_path / "y.wav",
                     "--text", "Hello.", "-m", 7, "--seed", 3, "--threads", 1)  # fmt: skip
        assert result.exit_code == 0, result.output
        assert 0 < soundfile.info(tmp_path / "y.wav").frames <= 7 * 1920 + DYING_AWAY


def test_a_sesame_checkpoint_and_a_kyutai_file_run_as_they_are(csm: Csm, tmp_path: Path) -> None:
    """Weights, Mimi and tokenizer from three places, none of them with a codec_config."""
    from tests.csm.cli.test_models import shape_file

    made, sesame, apart = tmp_path / "m", tmp_path / "s", tmp_path / "apart"
    shape = shape_file(tmp_path, codec=False, codebook_size=2048)
    assert csm("models", "create", "--shape", shape, "-o", made).exit_code == 0
    assert csm("models", "convert", made, sesame, "--layout", "sesame").exit_code == 0
    apart.mkdir()
    (sesame / "mimi.safetensors").rename(apart / "mimi.safetensors")
    (sesame / "tokenizer.json").rename(apart / "tokenizer.json")
    source = tmp_path / "in.wav"
    soundfile.write(source, chirp(16_000, 0.5), 16_000)
    result = csm("generate", "-w", sesame / "model.safetensors", "-i", source,
                 "-o", tmp_path / "y.wav", "--codec", apart / "mimi.safetensors",
                 "--tokenizer", apart / "tokenizer.json", "--text", "Hello.", "-m", 7,
                 "--seed", 3, "--threads", 1)  # fmt: skip
    assert result.exit_code == 0, result.output
    assert 0 < soundfile.info(tmp_path / "y.wav").frames <= 7 * 1920 + DYING_AWAY


def test_a_script_of_several_voices_becomes_one_file(csm: Csm, tmp_path: Path) -> None:
    file = tmp_path / "script.wav"
    script = "[voice: michael] Good evening.\n[voice: heart] Hello."
    result = csm("speak", script, "-o", file, "--seed", 1, *LOCAL)
    assert result.exit_code == 0, result.output
    assert soundfile.info(file).frames > 24_000
    result = csm("speak", "One. [voice: bob] Two.", "-o", tmp_path / "no.wav", *LOCAL)
    assert result.exit_code == 1
    told = " ".join(result.output.split())
    assert "voice 'bob' is not known; known are emma, fable, heart, michael, pico" in told
    assert not (tmp_path / "no.wav").exists()


def test_pace_and_loudness_are_as_asked(csm: Csm, tmp_path: Path) -> None:
    for name, options in (("plain", ()), ("fast", ("--speed", 2, "--even-loudness"))):
        result = csm("speak", "Yes.", "-o", tmp_path / f"{name}.wav", "--seed", 1, *options, *LOCAL)
        assert result.exit_code == 0, result.output
    plain, fast = (soundfile.info(tmp_path / f"{name}.wav").frames for name in ("plain", "fast"))
    assert abs(fast - plain / 2) <= 24 * 5
    result = csm("speak", "Yes.", "-o", tmp_path / "wrong.wav", "--speed", 3, *LOCAL)
    assert result.exit_code != 0
