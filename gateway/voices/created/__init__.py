"""Voices that clients make: how they are kept, and how all gateways of a store see them."""
