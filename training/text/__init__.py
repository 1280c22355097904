"""The text front end: what is written becomes the words that are read aloud."""
