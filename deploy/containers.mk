# Real containers: build the three images, run them as compose.yaml says, speak through them.

.PHONY: images test-containers

images:
	deploy/docker/build.sh $(TAG)

test-containers: $(READY_DEV)
	deploy/docker/build.sh test
	$(BIN)/python -m pytest -m containers tests/deploy
