"""The teachers: models of packages that speak, and say when they speak what."""
