"""What the teachers read: sentences from Debian's text packages and from our own grammars."""
