#!/bin/sh
# Installs what it is given into /venv, with the versions of constraints.txt. `torch` stands for
# torch in the build that TORCH_BACKEND names, `trim` takes away what nothing here imports. Used by
# the Dockerfile only.
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
  trim)
    # torch asks for these for torch.compile, which only a GPU is given (generator's `compiled`).
    if /venv/bin/python -c 'import sys, torch; sys.exit(bool(torch.version.cuda or torch.version.hip))'
    then
      site=$(/venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
      for name in sympy isympy.py mpmath networkx setuptools pkg_resources _distutils_hack \
        distutils-precedence.pth torch/include torch/share; do
        rm -rf "${site:?}/$name"
      done
      # torch's own tests; torch_shm_manager beside them is looked for at every import.
      rm -rf "$site"/torch/test "$site"/torch/bin/test_* "$site"/torch/bin/*Test \
        "$site"/torch/bin/protoc* "$site"/torch/lib/*_test.so
      rm -rf "$site"/sympy-*.dist-info "$site"/mpmath-*.dist-info "$site"/networkx-*.dist-info \
        "$site"/setuptools-*.dist-info
    fi
    ;;
  *)
    install "$@"
    ;;
esac
