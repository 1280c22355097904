"""How pico draws its codes: chosen on validation sentences (training/README.md), exported."""

from services.generator.model.sampling import SamplingParams

SAMPLING = SamplingParams(temperature=0.3, depth_temperature=0.1, top_k=50)
