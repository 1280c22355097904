"""The language model's stage: from the corpus and its codes to a trained `Csm`."""
