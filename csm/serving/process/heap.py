"""When Python looks for garbage: seldom, and not among what was loaded.

torch alone brings some 170,000 objects. A full collection walks them all, 50 to 130 ms in which no
frame is made, and by default comes when a quarter as many were added: several times while a service
starts, and once amid the first conversations.
"""

import gc

NEW_OBJECTS = 50_000
"""After so many more objects than were freed the youngest are searched; Python's default is 700."""


def collect_seldom() -> None:
    """For the beginning of a process: a fifth of a second less until it speaks."""
    gc.set_threshold(NEW_OBJECTS, 10, 10)


def freeze_heap() -> None:
    """For the end of loading: what is there now is never searched again."""
    gc.freeze()
