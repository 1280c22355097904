"""Residual blocks compiled for the training on a CPU, forward and backward."""
