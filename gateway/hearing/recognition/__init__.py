"""Whether a recording says the words that are said to be in it, by ear: needs `pocketsphinx`."""
