# Everything a newcomer needs: `make serve` and `make test`. `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := $(wildcard backends/*/*.cc backends/*/*.h backends/ops/tests/*.cc)
NODE := cd client/node && PATH="$(CURDIR)/$(BIN):$$PATH"

# A checkout that was moved is set up anew: scripts/setup.sh tells why.
$(shell sed -n 's/^command = .* -m venv //p' .venv/pyvenv.cfg 2>/dev/null | \
	grep -qvF "$$(pwd -P)/.venv" && rm -f .venv/.serve .venv/.test)

.DEFAULT_GOAL := help
.PHONY: help serve setup pages test test-node test-containers lint coverage audit sbom lock clean sanitize-ops fuzz-ops

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: .venv/.serve  ## set up, get and build the models, start Triton, wait until it answers
	@$(BIN)/aurum up

test: .venv/.test lint test-node  ## set up, then linters, type checker and all tests
	@$(BIN)/python -m pytest --cov --cov-report=term:skip-covered --cov-fail-under=85

test-node: .venv/.test  ## the tests of the Node client alone
	@$(NODE) npm test

test-containers: .venv/.test  ## the images and Compose in a Docker engine of the tests' own (as root)
	@scripts/test_containers.sh

lint: .venv/.test  ## ruff, mypy, clang-format; for the Node client Biome and tsc
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/clang-format --dry-run -Werror $(SOURCES)
	@$(NODE) npm run lint

sanitize-ops: .venv/.test  ## the operators' tests under AddressSanitizer and UBSan
	@scripts/sanitize_ops.sh

fuzz-ops:  ## the operators' kernels on random sizes and weights, the same way; SECONDS=60
	@backends/ops/build.sh fuzzer
	@backends/ops/build/sanitized/fuzz $(or $(SECONDS),60)

pages: .venv/.test  ## write the generated docs anew: tour, scenarios, bad input, playground's pictures
	@for page in settings_table tour scenario_page bad_input_table playground_shots; do \
		PYTHONPATH=tests/support:tests/service $(BIN)/python tools/docs/$$page.py || exit 1; done

setup: .venv/.test  ## only make .venv with everything in it

audit: .venv/.test  ## known vulnerabilities of all pinned packages (needs the network)
	@scripts/audit.sh

sbom: .venv/.test  ## bills of materials (CycloneDX) in .aurum/sbom
	@scripts/sbom.sh

lock:  ## write locks/ anew, newest versions that fit; KEEP=--keep: only what is new
	@[ -x .aurum/lock/bin/uv ] || { $(PYTHON) -m venv .aurum/lock && \
		.aurum/lock/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9; }
	@.aurum/lock/bin/python scripts/lock.py $(KEEP)

clean:  ## remove what was made: .venv, built graphs, caches (not the pulled models)
	rm -rf .venv client/node/node_modules client/node/dist client/node/build .aurum/models/served \
		model_repository/*/1 backends/*/*.so backends/ops/build .pytest_cache .mypy_cache .ruff_cache .coverage

.venv/.serve .venv/.test: .venv/.%: pyproject.toml client/python/pyproject.toml \
		client/node/package-lock.json $(wildcard locks/*.txt) scripts/setup.sh scripts/aurum \
		$(wildcard backends/*/build.sh) $(SOURCES)
	@scripts/setup.sh $(PYTHON) $*
	@touch $@
