#!/bin/sh
# Prints the container engine that works here: $CSM_ENGINE, docker or podman.
set -eu

for engine in ${CSM_ENGINE:-docker podman}; do
  if command -v "$engine" >/dev/null && "$engine" info >/dev/null 2>&1; then
    echo "$engine"
    exit 0
  fi
done
echo "no container engine works here (tried: ${CSM_ENGINE:-docker, podman}); install podman or" \
  "start docker" >&2
exit 1
