"""Traces: whether there are any, the spans of calls and turns, and their way to a collector."""
