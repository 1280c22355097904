"""TLS of the ports: the files, the certificate that is served, and what is open without it."""
