# Two commands do everything: `make demo` and `make test`. Both make .venv first, from the versions in constraints.txt.
PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
TESTS ?= tests

.PHONY: demo test lint format slow clean

demo: $(VENV)/.demo
	$(VENV)/bin/rodna demo

test: $(VENV)/.dev
	$(VENV)/bin/python -m pytest --numprocesses=auto --dist=loadfile $(TESTS)

slow: $(VENV)/.dev
	$(VENV)/bin/python -m pytest -m slow $(TESTS)

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyright

format: $(VENV)/.dev
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

$(VENV)/.demo: pyproject.toml constraints.txt
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@echo "installing rodna into $(VENV) (once; a minute or two)"
	@$(PIP) --editable '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@echo "installing rodna with its test tools into $(VENV) (once; a minute or two)"
	@$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .ruff_cache .hypothesis
