#!/usr/bin/env bash
# Builds the images: deploy/docker/build.sh [TAG] [cpu|gpu|all]    (default: latest, cpu)
#
# cpu: the three of the services; gpu: csm-generator-gpu, the generator with a torch that uses CUDA;
# all: the four of them. What each consists of (CycloneDX) is laid beside it, and is inside it as
# /usr/share/doc/csm/sbom.cdx.json.
#
# From the environment, all optional:
#   CSM_ENGINE         docker or podman; the one that works is found
#   CSM_BASE_IMAGE     what to build on; python:3.11-slim, or where that cannot be had and debootstrap
#                      is installed, a Debian made on the spot
#   CSM_TORCH_BACKEND  cpu, cu130, ... or pip (see the Dockerfile); pip where CSM_WHEELS has torch
#   CSM_TORCH_GPU_BACKEND   the same for csm-generator-gpu; cu130
#   CSM_EXTRAS         further extras of pyproject.toml for the images: av,recognition
#   CSM_SBOM           the folder for what each consists of; build/sbom
#   CSM_SOURCE         where the code is published, for the label of the images
#   CSM_WHEELS         a folder of wheels to prefer; the find-links of pip
#   CSM_PIP_CONF       a pip.conf for the build, never kept in an image
#   CSM_BUILD_CA       a CA bundle for the build, never kept in an image; the cert of pip
set -euo pipefail
cd "$(dirname "$0")/../.."

tag=${1:-latest}
kind=${2:-cpu}
case $kind in
  cpu) targets="gateway tokenizer generator" ;;
  gpu) targets="generator-gpu" ;;
  all) targets="gateway tokenizer generator generator-gpu" ;;
  *)
    echo "build.sh: $kind is not allowed, must be cpu, gpu or all" >&2
    exit 2
    ;;
esac
base=${CSM_BASE_IMAGE:-python:3.11-slim}
engine=$(deploy/docker/engine.sh)
sbom=${CSM_SBOM:-build/sbom}

pip_setting() { python3 -m pip config get "global.$1" 2>/dev/null | head -1 || true; }

have() { "$engine" image inspect "$1" >/dev/null 2>&1 || "$engine" pull -q "$1" >/dev/null 2>&1; }

if [[ -z ${CSM_BASE_IMAGE:-} ]] && ! have "$base"; then
  base=localhost/csm-debian:bookworm
  if ! "$engine" image inspect "$base" >/dev/null 2>&1; then
    if ! command -v debootstrap >/dev/null || [[ $EUID -ne 0 ]]; then
      echo "python:3.11-slim cannot be pulled; set CSM_BASE_IMAGE to an image that is here, or" \
        "install debootstrap and run this as root" >&2
      exit 1
    fi
    echo "python:3.11-slim cannot be pulled; making $base with debootstrap"
    root=$(mktemp -d)
    trap 'rm -rf "$root"' EXIT
    debootstrap --variant=minbase bookworm "$root" >/dev/null
    # As the slim images of Debian: of the documentation the licences alone, and one language.
    unwanted=(/usr/share/man /usr/share/info /usr/share/locale)
    printf 'path-exclude=%s/*\n' "${unwanted[@]}" >"$root/etc/dpkg/dpkg.cfg.d/slim"
    printf 'path-exclude=/usr/share/doc/*\npath-include=/usr/share/doc/*/copyright\n' \
      >>"$root/etc/dpkg/dpkg.cfg.d/slim"
    rm -rf "${unwanted[@]/#/$root}" "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
    find "$root/usr/share/doc" ! -type d ! -name copyright -delete
    tar -C "$root" -c . | "$engine" import - "$base" >/dev/null
  fi
fi

wheels=${CSM_WHEELS:-${PIP_FIND_LINKS:-$(pip_setting find-links)}}
ca=${CSM_BUILD_CA:-${PIP_CERT:-$(pip_setting cert)}}
backend=${CSM_TORCH_BACKEND:-}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml | head -1)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
options=(--build-arg "BASE=$base" --build-arg "VERSION=${version:-0.0.0}"
  --build-arg "REVISION=$revision" --build-arg "SOURCE=${CSM_SOURCE:-unknown}"
  --build-arg "EXTRAS=${CSM_EXTRAS:-}")
if [[ -d $wheels ]]; then
  options+=(--build-context "wheels=$wheels")
  [[ -n $backend ]] || ! compgen -G "$wheels/torch-*.whl" >/dev/null || backend=pip
fi
[[ -f $ca ]] && options+=(--secret "id=ca,src=$ca")
[[ -f ${CSM_PIP_CONF:-} ]] && options+=(--secret "id=pip,src=$CSM_PIP_CONF")
run=("$engine" run --rm)
if [[ $engine == podman ]]; then
  # The OCI format has no health checks. The limits are lower than podman's own, which a machine
  # that is itself confined may not grant.
  limits=(--ulimit nofile=10000:10000 --ulimit nproc=4096:4096)
  options+=(--format docker "${limits[@]}")
  run+=("${limits[@]}")
fi
uses_gpu='import sys, torch; sys.exit(not (torch.version.cuda or torch.version.hip))'

for name in $targets; do
  # A GPU's torch never comes from CSM_WHEELS unasked: what lies there is for this machine.
  torch=${backend:-cpu} target=$name
  [[ $name != generator-gpu ]] || torch=${CSM_TORCH_GPU_BACKEND:-cu130} target=generator
  echo "building csm-$name:$tag on $base, torch for $torch"
  "$engine" build -q -f deploy/docker/Dockerfile --target "$target" -t "csm-$name:$tag" \
    --build-arg "TORCH_BACKEND=$torch" "${options[@]}" .
  if [[ $name == generator-gpu ]] && ! "${run[@]}" --entrypoint python \
    "csm-$name:$tag" -c "$uses_gpu"; then
    "$engine" image rm "csm-$name:$tag" >/dev/null
    echo "csm-$name:$tag had a torch that uses no GPU; set CSM_TORCH_GPU_BACKEND (it is $torch)" >&2
    exit 1
  fi
  mkdir -p "$sbom"
  "${run[@]}" --network none --entrypoint cat "csm-$name:$tag" /usr/share/doc/csm/sbom.cdx.json \
    >"$sbom/csm-$name-$tag.cdx.json"
done
