# Everything a newcomer needs: `make serve` and `make test`. `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin
NODE := cd client/node && PATH="$(CURDIR)/$(BIN):$$PATH"

.DEFAULT_GOAL := help
.PHONY: help serve setup test test-node lint coverage audit lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: .venv/.serve  ## set up, get and build the models, start Triton, wait until it answers
	@$(BIN)/aurum up

test: .venv/.test lint test-node  ## set up, then linters, type checker and all tests
	@$(BIN)/python -m pytest --cov --cov-report=term:skip-covered --cov-fail-under=85

test-node: .venv/.test  ## the tests of the Node client alone
	@$(NODE) npm test

lint: .venv/.test  ## ruff, mypy, clang-format; for the Node client Biome and tsc
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/clang-format --dry-run -Werror backends/onnxruntime/*.cc backends/onnxruntime/*.h
	@$(NODE) npm run lint

setup: .venv/.test  ## only make .venv with everything in it

audit: .venv/.test  ## known vulnerabilities of all pinned packages (needs the network)
	@scripts/audit.sh

lock:  ## write constraints.txt anew from the newest versions that fit (needs `make setup` after it)
	@rm -rf .venv && : > constraints.txt && scripts/setup.sh $(PYTHON) test
	@$(BIN)/python -m pip freeze --exclude-editable > constraints.txt

clean:  ## remove what was made: .venv, built graphs, caches (not the pulled models)
	rm -rf .venv client/node/node_modules client/node/dist client/node/build .aurum/models/served \
		model_repository/*/1 backends/onnxruntime/*.so .pytest_cache .mypy_cache .ruff_cache .coverage

.venv/.serve .venv/.test: .venv/.%: pyproject.toml client/python/pyproject.toml \
		client/node/package-lock.json constraints.txt scripts/setup.sh scripts/backend.sh \
		$(wildcard backends/onnxruntime/*.cc backends/onnxruntime/*.h)
	@scripts/setup.sh $(PYTHON) $*
	@touch $@
