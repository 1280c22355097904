"""Names of HTML's and SSML's tags that matter to where a text is cut; the gateway's are in
`gateway/text/markup/tags.py`, and a test compares the two."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


BLOCKS = _words(
    "p h1 h2 h3 h4 h5 h6 table hr blockquote ul ol dl pre article section aside header footer "
    "main nav figure form fieldset details br div li tr dt dd caption figcaption summary option "
    "legend title head body html speak address thead tbody tfoot center"
)
"""A sentence ends behind these."""
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
