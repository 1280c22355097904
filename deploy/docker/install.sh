#!/bin/sh
# Installs what it is given into /venv, with the versions of constraints.txt. `torch` stands for
# torch in the build that TORCH_BACKEND names, `bill` for what writes bills of materials. Used by the
# Dockerfile only.
set -eu

# Settings of this one build come as secrets, so that no image keeps an address or a certificate.
[ -s /run/secrets/pip ] && export PIP_CONFIG_FILE=/run/secrets/pip
[ -s /run/secrets/ca ] && export PIP_CERT=/run/secrets/ca SSL_CERT_FILE=/run/secrets/ca

# /venv has no pip: this one installs into it from outside.
pip="/pip/bin/python -m pip"

install() {
  $pip --python /venv/bin/python install -c constraints.txt --find-links /wheels "$@"
}

case $1 in
  torch)
    if [ "${TORCH_BACKEND:-cpu}" = pip ]; then
      install torch
    else
      # uv knows where PyTorch keeps the builds of each backend. It stays out of /venv.
      $pip install -q uv
      /pip/bin/uv pip install --no-cache --compile-bytecode --python /venv/bin/python -c constraints.txt \
        --find-links /wheels --torch-backend "${TORCH_BACKEND:-cpu}" torch
    fi
    ;;
  bill)
    # What writes bills of materials stays beside pip.
    $pip install cyclonedx-bom==7.5.0
    ;;
  *)
    install "$@"
    ;;
esac
