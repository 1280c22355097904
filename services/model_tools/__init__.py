"""What `csm models` does with model directories: describe, convert, make. Knows both models."""
