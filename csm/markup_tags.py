"""Tags of HTML and SSML by what they do: as the gateway reads them, and where a client cuts."""

MAX_TAG_CHARS = 256
"""An opening sign that nothing closes within so many characters is a plain sign."""
MAX_ATTRIBUTES_CHARS = 4096
"""The same where attributes stand behind the name: addresses are long."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PARAGRAPHS = _words(
    "p h1 h2 h3 h4 h5 h6 table hr blockquote ul ol dl pre article section aside header footer "
    "main nav figure form fieldset details"
)
"""A paragraph ends before and behind these."""
LINES = _words(
    "br div li tr dt dd caption figcaption summary option legend title head body html speak "
    "address thead tbody tfoot center"
)
"""A line ends before and behind these."""
DROPPED = _words("script style svg template desc metadata")
"""What stands in these is not for reading."""
VOID = _words("br hr img input meta link wbr break mark area col source")
"""They have no end."""
BARE = _words(
    "allowfullscreen async autofocus autoplay checked controls default defer disabled download "
    "hidden inert ismap itemscope loop multiple muted nomodule novalidate open playsinline "
    "readonly required reversed selected"
)
"""Attributes without a value; with any other word, angle signs hold words to be read."""
