"""The corpus: sentences, the teachers that speak them, and where their audio lies."""
