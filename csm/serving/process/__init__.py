"""The process around the services: its memory, cores, background tasks, HTTP port and end."""
