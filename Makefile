# What a newcomer types. Every target sets up what it needs: a virtual environment in .venv with
# the versions of constraints.txt.

VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_DEV := $(VENV)/.ready-dev
READY_TRAINING := $(VENV)/.ready-training
PIP := $(BIN)/python -m pip --disable-pip-version-check

TEXT ?= Hello there.
OUT ?= hello.wav

WORK ?= build/pico
VOICE ?= models/pico
DEVICE ?= cpu
MINUTES ?= 180
CODEC_MINUTES ?= 180
POLISH_MINUTES ?= 120
LISTENER_MINUTES ?= 7
SENTENCES ?= 62000
DOCS ?= docs
EVALUATE ?=

.PHONY: help speak serve native native-all native-generator native-tokenizer test test-slow test-arm test-integrations lint protos bench docs voice evaluate clean

help:
	@echo 'make speak TEXT="Hello there." OUT=hello.wav   speak one text'
	@echo 'make serve                                     the three services in one process'
	@echo 'make native | native-all                       compile ahead: the level needed; every one'
	@echo 'make test | test-slow | test-containers        tests; full-size ones; real containers'
	@echo 'make test-integrations                         LiveKit, Pipecat, Wyoming'
	@echo 'make lint | protos | docs | bench              checks, stubs, generated docs, figures'
	@echo 'make voice | evaluate                          train models/pico anew; measure it'

# The text and the file as they were typed: a shell gets them as variables, and neither it nor make
# takes quotes, dollars or backticks in them for its own.
speak: export SPEAK_TEXT := $(value TEXT)
speak: export SPEAK_OUT := $(value OUT)

# What a virtual environment is made with, and what one that is there was made with.
CHECK_PYTHON = $(1) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
  echo "csm needs Python 3.11 or newer; $(1) is $$($(1) --version 2>&1). $(2)" >&2; exit 1; }

# torch comes first and alone: where a machine prefers another build of it (say, CPU only),
# PIP_TORCH holds further arguments of pip for this one call.
$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/python || { $(call CHECK_PYTHON,$(PYTHON),Name another one: make PYTHON=python3.11) }
	@test ! -x $(BIN)/python || { $(call CHECK_PYTHON,$(BIN)/python,Remove $(VENV) and say PYTHON=python3.11) }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install -q -c constraints.txt $(PIP_TORCH) torch
	$(PIP) install -q -c constraints.txt -e '.[models]'
	@touch $@

# moshi pins an older torch than the one it runs on, hence --no-deps.
$(READY_DEV): $(READY)
	$(PIP) install -q -c constraints.txt -e '.[dev]'
	$(PIP) install -q -c constraints.txt --no-deps moshi
	@touch $@

speak: $(READY)
	$(BIN)/csm speak -o "$$SPEAK_OUT" -- "$$SPEAK_TEXT"

serve: $(READY)
	$(BIN)/csm serve

# What the first start would compile, into the user's cache (docs/native.md); both libraries at once.
native: $(READY)
	$(MAKE) -j2 native-generator native-tokenizer

native-all: $(READY)
	$(MAKE) -j2 LEVELS=all native-generator native-tokenizer

native-generator native-tokenizer: native-%: $(READY)
	$(BIN)/python -m services.$*.native.build $(LEVELS)

# A thousand tests are about time, which a busy machine may take from them: those that fail (pytest's
# exit status 1) are tried once more, by themselves. The tests of a mark, and more for the first try.
tried = $(BIN)/pytest -m '$(1)' $(2) || \
  { [ $$? -eq 1 ] && $(BIN)/pytest -m '$(1)' --last-failed --last-failed-no-failures none; }

# A file's tests stay together: they share what is dear to start. Half of a suite waits, for
# processes, timeouts and files, so two at once take little more than half of the time.
test: $(READY_DEV)
	$(call tried,not slow and not containers and not alone,-n 2 --dist loadfile)
	$(call tried,alone,$$(grep -rl --include='*.py' 'mark\.alone' tests))

test-slow: $(READY_DEV)
	$(BIN)/pytest -m slow

# ARM's levels of the native libraries, by a cross compiler and an emulator (docs/native.md).
test-arm: $(READY_DEV)
	$(BIN)/pytest -m 'slow or not slow' tests/native/test_arm_levels.py \
	  tests/generator/native/test_native_emulated.py tests/tokenizer/native/test_native_emulated.py

# Each with the real package of the other side in a virtual environment of its own, because their
# versions of protobuf are not one; the csm server that they speak with runs in ours.
INTEGRATIONS := livekit-plugins-csm pipecat-csm wyoming-csm
test-integrations: $(INTEGRATIONS:%=test-%)
$(INTEGRATIONS:%=test-%): test-%: $(VENV)/integrations/%/.ready
	SERVER_PYTHON=$(abspath $(BIN))/python $(VENV)/integrations/$*/bin/python -m pytest \
	  integrations/$*/tests
	cd integrations/$* && MYPYPATH=. $(abspath $(VENV))/integrations/$*/bin/python -m mypy \
	  --config-file ../mypy.ini -p $(if $(findstring livekit,$*),livekit.plugins.csm,$(subst -,_,$*))

$(VENV)/integrations/%/.ready: integrations/%/pyproject.toml pyproject.toml $(READY_DEV)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip --disable-pip-version-check install -q -e . -e integrations/$* \
	  'pytest>=8.3' 'pytest-asyncio>=0.25' mypy
	@touch $@

lint: $(READY_DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Stubs by the oldest tools that are supported: newer ones would not load beside an older protobuf.
PROTO_TOOLS := $(VENV)/protos
$(PROTO_TOOLS)/.ready:
	$(PYTHON) -m venv $(PROTO_TOOLS)
	$(PROTO_TOOLS)/bin/python -m pip --disable-pip-version-check install -q grpcio-tools==1.80.0 \
	  googleapis-common-protos==1.76.0
	@touch $@

protos: $(PROTO_TOOLS)/.ready
	$(PROTO_TOOLS)/bin/python -m grpc_tools.protoc -I protos \
	  -I $$($(PROTO_TOOLS)/bin/python -c 'import google.rpc, pathlib; \
	    print(pathlib.Path(list(google.rpc.__path__)[0]).parents[1])') \
	  --python_out=. --pyi_out=. --grpc_python_out=. $(sort $(wildcard protos/csm/v1/*.proto))

# What training and measuring need beside the tests' packages, and the programs that Debian has:
# see training/README.md. resemblyzer asks for a `typing` in the place of Python's, hence --no-deps.
$(READY_TRAINING): $(READY_DEV)
	$(PIP) install -q -c constraints.txt -e '.[training]'
	$(PIP) install -q -c constraints.txt --no-deps resemblyzer
	@touch $@

# Every stage goes on from where it was stopped; DEVICE=cuda trains on a GPU.
voice: $(READY_TRAINING)
	$(BIN)/python -m training.corpus --work $(WORK) --sentences $(SENTENCES)
	$(BIN)/python -m training.codec --work $(WORK) --device $(DEVICE) --minutes $(CODEC_MINUTES)
	$(BIN)/python -m training.codec.encode --work $(WORK) --device $(DEVICE)
	$(BIN)/python -m training.language_model --work $(WORK) --device $(DEVICE) --minutes $(MINUTES)
	$(BIN)/python -m training.language_model.predict --work $(WORK) --device $(DEVICE)
	$(BIN)/python -m training.codec.listener --work $(WORK) --device $(DEVICE) \
	  --minutes $(LISTENER_MINUTES)
	$(BIN)/python -m training.codec.polish --work $(WORK) --device $(DEVICE) \
	  --minutes $(POLISH_MINUTES)
	$(BIN)/python -m training.export --work $(WORK) --out $(VOICE)
	$(MAKE) evaluate

# Nothing is trained: the teachers speak only what is judged, and the context for it.
evaluate: $(READY_TRAINING)
	$(BIN)/python -m training.corpus --work $(WORK) --split held_out
	$(BIN)/python -m training.corpus --work $(WORK) --split validation
	$(BIN)/python -m training.evaluate --work $(WORK) --voice $(VOICE) --docs $(DOCS) --card \
	  $(EVALUATE)

docs: $(READY_DEV)
	$(BIN)/python docs/metrics.py > docs/metrics.md
	$(BIN)/python docs/logs.py > docs/logs.md
	$(BIN)/python -m deploy.grafana.dashboard > deploy/grafana/csm.json
	$(BIN)/python -m deploy.prometheus.operator \
	  > deploy/kubernetes/components/monitoring/rules.yaml

bench: $(READY_DEV)
	$(BIN)/python -m benchmarks.performance

clean:
	rm -rf $(VENV) build dist *.egg-info

-include deploy/containers.mk
