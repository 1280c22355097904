"""Signs of emphasis and strike-through: which of them are markup, which are signs of the text."""

from gateway.text.markup.characters import is_wide

MAX_RUN = 64
"""Signs that are looked at together, at the most."""
_IN_ADDRESSES = frozenset("/(-=&?#%@~+:_*")
_OF_ADDRESSES = frozenset("/=@")


def goes_on(after: str) -> bool:
    """Whether an address goes on behind a sign in it."""
    return after[:1].isalnum() or after[:1] in _IN_ADDRESSES


def is_plain(sign: str, num_signs: int, before: str, after: str, final: bool) -> bool | None:
    """Whether a run of signs stays: 2*3*4, snake_case, ~5; None while what follows decides.

    before, after: the character before the run, and the two behind it, as far as there are any.
    Nothing is looked for that closes or opens: a lone sign of emphasis is not spoken either.
    """
    following = after[:1]
    if sign == "~":
        return num_signs == 1
    inside = before.isalnum() and following.isalnum()
    wide = inside and is_wide(before) and is_wide(following)
    if sign == "_":
        if num_signs == 1 and following == "{" and (before.isalnum() or before == "}"):
            return True  # x_{i}, as LaTeX writes it
        address = before in _OF_ADDRESSES or following in _OF_ADDRESSES
        return (inside and not wide) or (num_signs < 3 and address)
    if inside and not wide:
        return num_signs == 1 or before.isdigit() or following.isdigit()
    if num_signs > 1 or before.strip():
        return False
    if following == ".":  # *.txt
        return None if len(after) < 2 and not final else after[1:].isalnum()
    return not following.strip()
