# Everything a newcomer needs: `make serve` and `make test`. `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help serve setup test lint coverage lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: .venv/.serve  ## set up, get and build the models, start Triton, wait until it answers
	@$(BIN)/aurum up

test: .venv/.test lint  ## set up, then linters, type checker and all tests
	@$(BIN)/python -m pytest --cov --cov-report=term:skip-covered --cov-fail-under=85

lint: .venv/.test  ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

setup: .venv/.test  ## only make .venv with everything in it

lock:  ## write constraints.txt anew from the newest versions that fit (needs `make setup` after it)
	@rm -rf .venv && : > constraints.txt && scripts/setup.sh $(PYTHON) test
	@$(BIN)/python -m pip freeze --exclude-editable > constraints.txt

clean:  ## remove what was made: .venv, built graphs, caches (not the pulled models)
	rm -rf .venv .aurum/models/served model_repository/*/1 .pytest_cache .mypy_cache .ruff_cache .coverage

.venv/.serve .venv/.test: .venv/.%: pyproject.toml client/python/pyproject.toml constraints.txt scripts/setup.sh
	@scripts/setup.sh $(PYTHON) $*
	@touch $@
