# Start with `make serve` and `make test`; `make help` lists the other targets.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := $(wildcard backends/*/*.cc backends/*/*.h backends/ops/tests/*.cc)
NODE := cd client/node && PATH="$(CURDIR)/$(BIN):$$PATH"

# A checkout that was moved is set up again; scripts/setup.sh explains why.
$(shell sed -n 's/^command = .* -m venv //p' .venv/pyvenv.cfg 2>/dev/null | \
	grep -qvF "$$(pwd -P)/.venv" && rm -f .venv/.serve .venv/.test)

.DEFAULT_GOAL := help
.PHONY: help serve setup pages test test-node test-containers lint coverage audit sbom lock clean sanitize-ops fuzz-ops

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: .venv/.serve  ## set up, pull and build the models, start Triton, wait until it answers
	@$(BIN)/aurum up

test: .venv/.test lint test-node  ## set up, then run linters, type checker and all tests
	@$(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report=term:skip-covered --cov-fail-under=85

test-node: .venv/.test  ## run the tests of the Node client only
	@$(NODE) npm test

test-containers: .venv/.test  ## run the images and Compose in a Docker engine of the tests' own (as root)
	@scripts/test_containers.sh

lint: .venv/.test  ## run ruff, mypy, clang-format; for the Node client Biome and tsc
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/clang-format --dry-run -Werror $(SOURCES)
	@$(NODE) npm run lint

sanitize-ops: .venv/.test  ## run the operators' tests under AddressSanitizer and UBSan
	@scripts/sanitize_ops.sh

fuzz-ops:  ## fuzz the operators' kernels under both sanitizers; SECONDS=60
	@backends/ops/build.sh fuzzer
	@backends/ops/build/sanitized/fuzz $(or $(SECONDS),60)

pages: .venv/.test  ## regenerate docs: settings, profiles, OpenAPI, tour, scenarios, bad input, pictures
	@for page in settings_table profiles_table openapi tour scenario_page bad_input_table playground_shots; do \
		PYTHONPATH=tests/support:tests/service $(BIN)/python tools/docs/$$page.py || exit 1; done

setup: .venv/.test  ## only create .venv with everything in it

audit: .venv/.test  ## list known vulnerabilities of all pinned packages (needs the network)
	@scripts/audit.sh

sbom: .venv/.test  ## write bills of materials (CycloneDX) to .aurum/sbom
	@scripts/sbom.sh

lock:  ## rewrite locks/ with the newest compatible versions; KEEP=--keep: only add new packages
	@[ -x .aurum/lock/bin/uv ] || { $(PYTHON) -m venv .aurum/lock && \
		.aurum/lock/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9; }
	@.aurum/lock/bin/python scripts/lock.py $(KEEP)

clean:  ## remove .venv, build results, built graphs and caches (not the pulled models)
	rm -rf .venv client/node/node_modules client/node/dist client/node/build .aurum/models/served \
		model_repository/*/1 backends/*/*.so backends/ops/build .pytest_cache .mypy_cache .ruff_cache .coverage

.venv/.serve .venv/.test: .venv/.%: pyproject.toml client/python/pyproject.toml \
		client/node/package-lock.json $(wildcard locks/*.txt) scripts/setup.sh scripts/aurum \
		$(wildcard backends/*/build.sh) $(SOURCES)
	@scripts/setup.sh $(PYTHON) $*
	@touch $@
