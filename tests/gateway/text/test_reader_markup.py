"""What markup becomes, where its sentences stand in the caller's text, and its pauses."""

# ruff: noqa: RUF001 (punctuation of many scripts)

import pytest

from gateway.text.options import MAX_PAUSE_MS, Markup, TextRules, TextWarning
from gateway.text.reader import Piece, TextReader
from tests.gateway.text.cases import rows

OBEY, STRIP, OFF = (TextRules(markup=markup) for markup in (Markup.OBEY, Markup.STRIP, Markup.OFF))


def read(text: str, options: TextRules = OBEY) -> list[Piece]:
    reader = TextReader(options, 200)
    return reader.feed(text) + reader.finish()


def texts(text: str, options: TextRules = OBEY) -> list[str]:
    return [piece.text.text for piece in read(text, options)]


def warnings(text: str) -> list[TextWarning]:
    reader = TextReader(OBEY, 200)
    reader.feed(text)
    reader.finish()
    return reader.warnings


@pytest.mark.parametrize(("text", "sentences"), rows("markup.tsv"))
def test_markup_is_taken_out(text: str, sentences: list[str]) -> None:
    assert texts(text) == [sentence for sentence in sentences if sentence]


def test_written_is_the_callers_text_with_its_markup() -> None:
    text = "Intro:\n- item **one**.\n- *two* &amp; three\n<p>A <b>bold</b> end.</p> Last"
    pieces = read(text)
    assert [piece.written for piece in pieces] == [
        "Intro:",
        "- item **one**.",
        "- *two* &amp; three",
        "<p>A <b>bold</b> end.</p>",
        "Last",
    ]
    assert all(text[p.first_char : p.end_char] == p.written for p in pieces)
    ampersand = pieces[2].text.text.index("&")
    first, end = pieces[2].text.span(ampersand, ampersand + 1)
    assert text[first:end] == "&amp;"


def test_pauses_are_obeyed() -> None:
    text = (
        'One <break time="300ms"/>two. [pause 1.5s] Three.<break strength="strong"/>'
        "<break/> [pause] Four. [pause: 2s]"
    )
    reader = TextReader(OBEY, 200)
    pieces = reader.feed(text) + reader.finish()
    assert [(piece.text.text, piece.pause_ms) for piece in pieces] == [
        ("One", 0),
        ("two.", 300),
        ("Three.", 1500),
        ("Four.", 750 + 400 + 400),
    ]
    assert reader.trailing_pause_ms == 2000


def test_pauses_are_bounded_each_and_in_all() -> None:
    text = "".join(f'W{i}. <break time="100s"/>' for i in range(10)) + "End."
    pauses = [piece.pause_ms for piece in read(text)]
    assert pauses[:3] == [0, MAX_PAUSE_MS, MAX_PAUSE_MS]
    assert sum(pauses) == 60_000
    assert [warning.kind for warning in warnings(text)] == ["CUT"] * 4


def test_pauses_at_line_ends_and_paragraphs() -> None:
    options = TextRules(newline_pause_ms=100, paragraph_pause_ms=700)
    text = "# Head\nOne. Two.\nThree.\n\nFour\n- five\n[pause 300ms]\nSix."
    assert [(p.text.text, p.pause_ms) for p in read(text, options)] == [
        ("Head", 0),
        ("One.", 100),
        ("Two.", 0),
        ("Three.", 100),
        ("Four", 700),
        ("five", 100),
        ("Six.", 300),
    ]


def test_stripped_markup_has_no_effect() -> None:
    text = (
        'One <break time="1s"/>two [pause 1s] three. <sub alias="World">W</sub> is '
        '<say-as interpret-as="characters">AB</say-as>.'
    )
    pieces = read(text, STRIP)
    assert [piece.text.text for piece in pieces] == ["One two three.", "W is AB."]
    assert [piece.pause_ms for piece in pieces] == [0, 0]


def test_markup_that_is_off_is_plain_text() -> None:
    text = "# <b>Hi</b> **you** &amp; `x`.\n- [pause 1s] 🙂 a\u200bb\u202ec\ue000."
    assert texts(text, OFF) == ["# <b>Hi</b> **you** &amp; `x`.", "- [pause 1s] a bc."]


def test_what_is_to_be_spelled_is_and_says_where() -> None:
    (piece,) = read('The <say-as interpret-as="characters">A1-b</say-as> model.')
    assert piece.text.text == "The A 1 dash B model."
    assert [piece.text.text[a:b] for a, b in piece.verbatim] == ["A", "1", "dash", "B"]
    first, end = piece.text.span(*piece.verbatim[3])
    assert piece.written[first:end] == "b"


def test_what_is_left_out_is_said() -> None:
    text = "See:\n```\ncode\n```\nand ![](a.png) <script>x()</script>done."
    assert texts(text) == ["See:", "and done."]
    assert [(w.kind, w.description) for w in warnings(text)] == [
        ("UNSPEAKABLE", "a block of code is left out"),
        ("UNSPEAKABLE", "an image is left out"),
        ("UNSPEAKABLE", "content that is not for reading is left out"),
    ]
    code = warnings(text)[0]
    assert text[code.first_char : code.end_char] == "```\ncode\n```"
    assert len(warnings("```\nx\n```\n" * 1000)) <= 64


def test_a_flush_speaks_what_is_there_and_the_text_goes_on() -> None:
    reader = TextReader(OBEY, 200)
    assert reader.feed("Let me **thi") == []
    assert reader.pending
    assert [piece.text.text for piece in reader.flush()] == ["Let me thi"]
    assert not reader.pending
    assert reader.flush() == []
    pieces = reader.feed("nk** about 5") + reader.finish()
    assert [(piece.written, piece.first_char) for piece in pieces] == [("nk** about 5", 12)]


def test_a_flush_does_not_speak_half_a_tag() -> None:
    reader = TextReader(OBEY, 200)
    assert reader.feed("Hello <break ti") == []
    assert [piece.written for piece in reader.flush()] == ["Hello"]
    assert not reader.pending
    (piece,) = reader.feed('me="1s"/>you.') + reader.finish()
    assert (piece.text.text, piece.pause_ms) == ("you.", 1000)


@pytest.mark.parametrize(
    ("text", "pending", "complete"),
    [
        ("", False, False),
        ("  \n", False, False),
        ("Hello", True, False),
        ("Hello.", True, True),
        ("Hello!", True, True),
        ("At 5 p.m.", True, True),
        ("At 5 p.m. ", True, True),
        ("I saw Dr.", True, False),
        ("He lives in the U.S. Sen", True, False),
        ('He said "no."', True, True),
        ("One line\n", True, True),
        ("Well...", True, True),
        ("Yes. No", True, False),
        ("🙂", False, False),
        ("Hello <b", True, False),
        ("<b", False, False),
        ("a <!-- note", True, False),
        ("[not", True, False),
        ("你好", True, False),
    ],
)
def test_what_is_pending_may_be_complete(text: str, pending: bool, complete: bool) -> None:
    reader = TextReader(OBEY, 200)
    reader.feed(text)
    assert (reader.pending, reader.complete) == (pending, complete)


def test_a_sentence_is_given_as_soon_as_it_is_certain() -> None:
    reader = TextReader(OBEY, 200)

    def feed(part: str) -> list[str]:
        return [piece.text.text for piece in reader.feed(part)]

    assert feed("**Hello") == []
    assert feed(" there.**") == []
    assert feed(" ") == ["Hello there."]
    assert feed("We left at 5 p.m. ") == []
    assert feed("T") == []
    assert feed("om ") == ["We left at 5 p.m."]
    assert feed("stayed. 今天好吗？很") == ["Tom stayed.", "今天好吗？"]
    assert [piece.text.text for piece in reader.finish()] == ["很"]


def test_a_long_sentence_is_cut_at_a_comma_then_at_a_space_then_anywhere() -> None:
    def cut(text: str, max_chars: int) -> list[str]:
        reader = TextReader(OBEY, max_chars)
        return [piece.text.text for piece in reader.feed(text) + reader.finish()]

    assert cut("one two **three** four, five six seven", 24) == [
        "one two three four,",
        "five six seven",
    ]
    assert cut("one two three four five six", 20) == ["one two three four", "five six"]
    assert cut("x" * 45, 20) == ["x" * 20, "x" * 20, "x" * 5]
    assert cut("天" * 15 + "，" + "地" * 10, 20) == ["天" * 15 + "，", "地" * 10]
    assert cut("a" * 19 + "e\u0301" * 10, 20)[0] == "a" * 19


def test_numbers_with_a_stop_are_ordinals_where_the_language_has_them() -> None:
    text = "Am 3. Mai um 5. Dann am 7. oder 8. des Monats. Es war 1990. Gut."
    assert texts(text, TextRules(language="de-DE")) == [
        "Am 3. Mai um 5.",
        "Dann am 7. oder 8. des Monats.",
        "Es war 1990.",
        "Gut.",
    ]
    assert texts("It is 3. May is near.") == ["It is 3.", "May is near."]


def test_words_of_different_elements_do_not_run_together() -> None:
    text = "<speak>Now<mstts:express-as>yay</mstts:express-as><w>read</w> on.</speak>"
    assert texts(text) == ["Now yay read on."]
    assert texts('<speak><voice name="a">Hi.</voice><voice name="b">Yo.</voice></speak>') == [
        "Hi.",
        "Yo.",
    ]
    assert texts("Un<b>frigging</b>believable.") == ["Unfriggingbelievable."]
