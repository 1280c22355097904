"""What a service starts from: bootstrap, settings, the host; beside them a folder a subject."""

import os

# The core of grpc writes lines of its own form to standard error, mostly about what clients sent
# wrongly. It looks at this when grpc is imported, so not later than here.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
