"""What is done to the sound of a spoken turn on its way out: pace, loudness, silence, watermark.

Plain numpy on mono float32; no gRPC, no protobuf, no torch. `chain` is the way through it.
"""
