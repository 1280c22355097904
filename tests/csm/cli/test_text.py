"""`csm text`: a text as it would be spoken, with and without a server."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from csm.cli.main import app
from tests.csm.cli.test_serve import FREE, serving

runner = CliRunner()
TEXT = 'It costs $3.50. <break time="300ms"/> Привет! Bye.'


def lines(given: list[Any], *options: str) -> list[dict[str, Any]]:
    text = "".join(json.dumps(value) + "\n" for value in given)
    result = runner.invoke(app, ["text", "--jsonl", *options], input=text)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_text_is_shown_as_written_and_as_spoken() -> None:
    result = runner.invoke(app, ["text", TEXT])
    assert result.exit_code == 0, result.output
    shown = " ".join(result.stdout.split())
    assert "It costs $3.50. It costs three dollars and fifty cents." in shown
    assert "300 ms" in shown
    assert "warning: characters 38..45: not spoken" in shown


def test_json_has_all_that_is_known() -> None:
    result = runner.invoke(app, ["text", "--json", TEXT])
    found = json.loads(result.stdout)
    assert found["spoken_form"] == "It costs three dollars and fifty cents. Bye."
    assert found["sentences"] == ["It costs $3.50.", "Bye."]
    assert [TEXT[w["first_char"] : w["end_char"]] for w in found["warnings"]] == ["Привет!"]
    assert found["details"][1]["pause_before_ms"] == 300
    assert found["details"][0]["positions"] == len("[0]It costs three dollars and fifty cents.") + 2


def test_lines_are_texts_or_their_parts_as_they_arrive() -> None:
    whole, parts, empty = lines(
        ["We meet on Nov. 29, 2026. Bye.", ["We meet on Nov", ". ", "29, 2026. ", "Bye."], ""]
    )
    assert whole == parts
    assert whole["sentences"] == ["We meet on Nov. 29, 2026.", "Bye."]
    assert (empty["spoken_form"], empty["sentences"], empty["warnings"]) == ("", [], [])


def test_options_of_the_front_end(tmp_path: Path) -> None:
    (plain,) = lines(["<b>5</b> kg"], "--no-normalize")
    assert plain["spoken_form"] == "5 kg"
    (off,) = lines(["<b>Hi</b> you."], "--markup", "off", "--no-normalize")
    assert off["spoken_form"] == "<b>Hi</b> you."
    (german,) = lines(["5 Euro."], "--language", "de")
    assert german["spoken_form"] == "5 Euro."
    lexicon = tmp_path / "words.tsv"
    lexicon.write_text("# how we say it\nSQL\tsequel\n")
    (said,) = lines(["SQL."], "--lexicon", str(lexicon))
    assert said["spoken_form"] == "sequel."


@pytest.mark.parametrize(
    ("arguments", "given", "named"),
    [
        (["text"], "", "give a TEXT, or --jsonl"),
        (["text", "--jsonl", "hello"], "", "give a TEXT, or --jsonl"),
        (["text", "--jsonl"], "5\n", "line 1: is int"),
        (["text", "--jsonl"], '"a"\n["b", 1]\n', "line 2: is list"),
        (["text", "--jsonl"], "{\n", "line 1: is no JSON value"),
        (["text", "--markup", "x", "hi"], "", "text_options.markup: 'x' is not allowed"),
        (["text", "--language", "?", "hi"], "", "text_options.language"),
        (["text", "--lexicon", "/nowhere.tsv", "hi"], "", "/nowhere.tsv"),
        (["text", "x" * 100_001], "", "100001 characters; allowed are 0..100000"),
        (["text", "-M", "/nowhere", "hi"], "", "/nowhere"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], given: str, named: str) -> None:
    result = runner.invoke(app, arguments, input=given)
    assert result.exit_code == 1
    assert named in result.output
    assert "Traceback" not in result.output


def test_it_loads_no_model() -> None:
    command = "from csm.cli.main import app; app(['text', 'Hello.'], standalone_mode=False); "
    command += "import sys; sys.exit('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, env=os.environ, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()


def test_a_server_is_asked_the_same() -> None:
    with serving(*FREE, "--metrics-port", "0") as server:
        (there,) = lines([TEXT], "--server", server.address("gateway"))
    (here,) = lines([TEXT])
    assert there == here
