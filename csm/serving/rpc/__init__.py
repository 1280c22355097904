"""The gRPC server: its port, and what is done around every RPC."""
