# Every target is one call of Python, so it works the same without make: python -m tools TARGET
# GPU=1 selects the TensorFlow build with CUDA (Linux x86-64):       make report GPU=1

PYTHON ?= python3
export GPU

.DEFAULT_GOAL := help
TARGETS := help report book template test lab latex data models evaluation mutants parity networks bench lint edition readme toolbox lock environment clean
.PHONY: $(TARGETS)

$(TARGETS):
	@$(PYTHON) -m tools $@
