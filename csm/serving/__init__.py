"""The kit that a service starts from: settings, bootstrap, health, errors, metrics, logging."""

import os

# The core of grpc writes lines of its own form to standard error, mostly about what clients sent
# wrongly. It looks at this when grpc is imported, so not later than here.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
