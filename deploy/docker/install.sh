#!/bin/sh
# Installs what it is given into /venv, with the versions of constraints.txt. `torch` stands for
# torch in the build that TORCH_BACKEND names. Used by the Dockerfile only.
set -eu

# Settings of this one build come as secrets, so that no image keeps an address or a certificate.
[ -s /run/secrets/pip ] && export PIP_CONFIG_FILE=/run/secrets/pip
[ -s /run/secrets/ca ] && export PIP_CERT=/run/secrets/ca SSL_CERT_FILE=/run/secrets/ca

pip="/venv/bin/python -m pip install -c constraints.txt --find-links /wheels"

if [ "$1" = torch ] && [ "${TORCH_BACKEND:-cpu}" != pip ]; then
  # uv knows where PyTorch keeps the builds of each backend. It stays out of /venv.
  /venv/bin/python -m pip install -q --target /tmp/uv uv
  /tmp/uv/bin/uv pip install --no-cache --python /venv/bin/python -c constraints.txt \
    --find-links /wheels --torch-backend "${TORCH_BACKEND:-cpu}" torch
  rm -rf /tmp/uv
else
  $pip "$@"
fi
