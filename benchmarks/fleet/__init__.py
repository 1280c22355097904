"""Many processes: real ones to be stopped and killed, simulated ones for load, a simulated day."""
