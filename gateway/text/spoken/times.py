"""Times of the day and durations written with colons."""

# ruff: noqa: RUF001 (the signs are what this file is about)

import re

from gateway.text.spoken import numbers
from gateway.text.spoken.rule import Rule, rule, word_after, word_before, word_set

_COLON = re.compile(r"\d:\d")
_HALF_DAY = re.compile(r"\d ?[aApP]\.?[mM]|\d ?(?:hours|hrs|h)\b")
_ODDS = word_set("ratio odds scale score scored won lost win beat aspect")
_NO_LAP = word_set("ratio odds scale aspect at am pm verse verses")
_AT = word_set("at by until till from since before after around to and")


def _clock(hours: str, minutes: str, half_day: bool) -> str:
    """10:30 ten thirty, 9:05 nine oh five, 12:00 twelve o'clock, 14:00 fourteen hundred."""
    hour = int(hours)
    if minutes == "00":
        if half_day:
            return numbers.cardinal(hour)
        if hour in (0, 24):
            return "midnight"
        return numbers.cardinal(hour) + (" hundred" if hour > 12 else " o'clock")
    return f"{numbers.cardinal(hour)} {numbers.two_digits(minutes)}"


def _counted(count: str, noun: str) -> str:
    return f"{numbers.cardinal(count)} {noun}{'' if int(count) == 1 else 's'}"


def _seconds(match: re.Match[str]) -> str:
    """Those of a log line, with a part of one: 07.123."""
    written = f"{int(match['seconds'])}.{match['part']}"
    return f"{numbers.number(written)} seconds"


def _hms(match: re.Match[str]) -> str | None:
    """1:02:03 is a duration, 14:02:03 or what stands behind "at" a time."""
    hours, minutes, seconds = match["hours"], match["minutes"], match["seconds"]
    if int(minutes) > 59 or int(seconds) > 59:
        return None
    if int(hours) < 24 and (len(hours) == 2 or word_before(match) in _AT):
        words = _clock(hours, minutes, False)
        if match["part"]:
            return f"{words} and {_seconds(match)}"
        return words if seconds == "00" else f"{words} and {_counted(seconds, 'second')}"
    parts = [
        _counted(count, noun)
        for count, noun in ((hours, "hour"), (minutes, "minute"), (seconds, "second"))
        if int(count) and not (match["part"] and noun == "second")
    ]
    if match["part"]:
        parts.append(_seconds(match))
    if len(parts) < 2:
        return parts[0] if parts else "zero seconds"
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def _duration(match: re.Match[str]) -> str:
    """2h 30m, 5m30s."""
    parts = [
        _counted(match[group], noun)
        for group, noun in (("h", "hour"), ("m", "minute"), ("s", "second"))
        if match[group]
    ]
    return " ".join(parts)


_VERSES = re.compile(
    r"(?:Genesis|Exodus|Psalms?|Proverbs|Isaiah|Matthew|Mark|Luke|John|Acts|Romans|Corinthians"
    r"|Hebrews|James|Peter|Revelation|Surah?|Quran) \Z"
)


def _verse(match: re.Match[str]) -> str | None:
    """John 3:16, Psalm 23:1."""
    if not _VERSES.search(match.string, max(0, match.start() - 16), match.start()):
        return None
    return f"{numbers.cardinal(match[1])} {numbers.cardinal(match[2])}"


def _time(match: re.Match[str]) -> str | None:
    hours, minutes = match["hours"], match["minutes"]
    if word_before(match) in _ODDS or word_after(match) in _ODDS:
        return f"{numbers.cardinal(hours)} to {numbers.whole(minutes.lstrip('0') or '0')}"
    if (hours, minutes) == ("50", "50"):
        return "fifty fifty"
    if int(minutes) > 59 or (int(hours) > 59 and int(hours) + int(minutes) == 100):
        return f"{numbers.whole(hours)} to {numbers.whole(minutes)}"
    if int(hours) > 24:
        # Minutes and seconds: a track of 45:10.
        return f"{_counted(hours, 'minute')} and {_counted(minutes, 'second')}"
    named = word_after(match).lower() in ("noon", "midnight", "o")
    return _clock(hours, minutes, bool(match["half"]) or named) + _half(match)


def _lap(match: re.Match[str]) -> str | None:
    """1:23.456, as races are timed; neither a ratio nor a time of the day."""
    if {word_before(match), word_after(match).lower()} & _NO_LAP:
        return None
    seconds = numbers.number(f"{int(match['seconds'])}.{match['part']}")
    return f"{_counted(match['minutes'], 'minute')} {seconds} seconds"


def _half(match: re.Match[str]) -> str:
    """A M and P M; the dot stays where nothing follows."""
    half = match["half"]
    if not half:
        return ""
    after = match.string[match.end() : match.end() + 24].lstrip("\"') ")
    ends = half.endswith(".") and (not after or (after[0].isupper() and not after[:2].isupper()))
    return f" {half.strip()[0].upper()} M" + ("." if ends else "")


def _hour(match: re.Match[str]) -> str:
    return numbers.cardinal(match["hours"]) + _half(match)


def _military(match: re.Match[str]) -> str | None:
    hours, minutes = match["hours"], match["minutes"]
    if int(hours) > 24 or int(minutes) > 59:
        return None
    said = "hundred" if minutes == "00" else numbers.two_digits(minutes)
    lead = "zero " if hours[0] == "0" and hours != "00" else ""
    return f"{lead}{numbers.cardinal(hours)} {said}"


_HALF = r"(?P<half> ?[aApP](?:[mM](?!\w)\.?(?!\w)|\.[mM](?:\.|(?!\w))))"

RULES: tuple[Rule, ...] = (
    # 5.30pm and 9.15-10.30 a.m., as the British write them.
    rule(
        r"(?<![\w.:/,$€£¥₹])(?:1\d|2[0-3]|0?[1-9])(?P<it>\.)"
        r"(?=[0-5]\d(?: ?(?:[–-]|to) ?\d{1,2}[.:][0-5]\d)? ?[aApP]\.?[mM](?!\w))",
        ":",
        _HALF_DAY,
    ),
    # Ranges first: what is between two times is no minus and no dash.
    rule(r"(?<=:\d\d)(?: ?[aApP]\.?[mM]\.?)?(?P<it> ?[–-] ?)(?=\d)", " to ", _COLON),
    rule(r"(?<=\d)(?P<it> ?[–-] ?)(?=\d\d?:\d\d(?!\d))", " to ", _COLON),
    rule(r"(?<=\d)(?: ?[aApP]\.?[mM]\.?)(?P<it> ?[–-] ?)(?=\d)", " to ", _HALF_DAY),
    rule(
        r"(?<![\w.:/])(?P<it>\d{1,2} ?[–-] ?\d{1,2})(?= ?[aApP]\.?[mM]\b)",
        lambda match: re.sub(" ?[–-] ?", " to ", match["it"]),
        _HALF_DAY,
    ),
    rule(
        r"(?<![\w.:])(?=\d{1,3}[hm] ?\d)(?:(?P<h>\d{1,3})h ?)?(?:(?P<m>\d{1,2})m ?)?"
        r"(?:(?P<s>\d{1,2})s)?(?!\w)",
        _duration,
        re.compile("\\d[hm] ?\\d"),
    ),
    rule(
        r"(?<![\w.:])(?P<hours>\d{1,3}):(?P<minutes>\d\d):(?P<seconds>\d\d)"
        r"(?:[.,](?P<part>\d{1,9}))?(?![\d:])(?!\.\d)",
        _hms,
        _COLON,
    ),
    rule(
        r"(?<![\w.:/])(?P<minutes>\d{1,2}):(?P<seconds>[0-5]\d)\.(?P<part>\d{1,3})(?![\w:]|\.\d)",
        _lap,
        _COLON,
    ),
    rule(
        rf"(?<![\w.:/])(?P<hours>\d{{1,3}}):(?P<minutes>\d\d)(?![\d:])(?!\.\d){_HALF}?",
        _time,
        _COLON,
    ),
    rule(rf"(?<![\w.:/,])(?P<hours>\d{{1,2}}){_HALF}", _hour, _HALF_DAY),
    rule(
        r"(?<![\w.:/,])(?P<hours>[012]\d)(?P<minutes>[0-5]\d)(?= ?(?:hours|hrs|h)\b)",
        _military,
        _HALF_DAY,
    ),
    rule(r"(?<![\w.,:])(\d{1,3}):(\d{1,3})(?![\w:])", _verse, _COLON),
    rule(r"(?<=[AP] M )(?P<it>[ECMP]T)(?!\w)", lambda match: " ".join(match["it"])),
    # Odds and ratios.
    rule(r"(?<=\d)\s?:\s?(?=\d)", " to ", re.compile(r"\d ?: ?\d")),
)
