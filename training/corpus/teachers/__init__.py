"""The teachers: programs of Debian that speak, and say when they speak what."""
