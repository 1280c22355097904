"""Conversations in Redis, Valkey, or whatever speaks their protocol and runs Lua."""
