# Real containers: build the three images, run them as compose.yaml says, speak through them.

.PHONY: images test-containers

TAG ?= latest
# cpu, gpu (the generator with CUDA) or all.
IMAGES ?= cpu

images:
	deploy/docker/build.sh $(TAG) $(IMAGES)

test-containers: $(READY_DEV)
	deploy/docker/build.sh test
	$(BIN)/python -m pytest -m containers tests/deploy
