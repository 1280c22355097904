"""The gateway: text and the conversation so far in, speech out. Never imports torch."""
