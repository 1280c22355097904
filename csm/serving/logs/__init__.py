"""Log records: how they are written, and the line that each call ends with."""
