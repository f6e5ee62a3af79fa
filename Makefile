# Thin: every target is a script that can be run by itself. Each sets up what it needs.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv/bin
# A network is a dozen processes: without kept byte code each would compile the same sources again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo dashboards test test-browser check lab bench soak fuzz mutants wheel \
	wasm lock clean bare-system

help: ## Say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

install: ## Set up what `opkit` and the demo need, in .venv
	@$(PYTHON) scripts/setup demo

demo: ## Tell the flows on a temporary network; ends with the path of the report
	@$(PYTHON) scripts/setup --quiet demo
	@$(VENV)/opkit demo $(FLOWS) $(ARGS)

test: ## Run the checks, then every group of tests
	@$(PYTHON) scripts/setup --quiet test
	@$(PYTHON) scripts/setup --quiet interop
	@command -v cc >/dev/null || $(PYTHON) scripts/setup --quiet wasm
	@$(PYTHON) scripts/wheelhouse --quiet
	@scripts/offline $(VENV)/python scripts/test $(ARGS)

test-browser: ## The console in a real browser, alone
	@$(PYTHON) scripts/setup --quiet test
	@scripts/offline $(VENV)/python -m pytest -q -m browser $(ARGS)

check: ## Format, lint, types, import contracts, unit and in-process tests
	@$(PYTHON) scripts/setup --quiet test
	@scripts/offline $(VENV)/python scripts/check $(ARGS)

lab: ## Open the notebooks in JupyterLab, at their start page
	@$(PYTHON) scripts/setup --quiet lab
	@$(VENV)/jupyter lab --config notebooks/.lab/config.json \
		$(if $(filter 0,$(shell id -u)),--allow-root) $(ARGS)

dashboards: ## Serve the console; prints one address with its token
	@$(PYTHON) scripts/setup --quiet dash
	@$(VENV)/opkit dash $(ARGS)

bench: ## Measure, print a table, write bench/latest.json
	@$(PYTHON) scripts/setup --quiet test
	@scripts/offline $(VENV)/python -m bench $(ARGS)

soak: ## Steady work (OPKIT_BENCH_SOAK_MIN), thousands of simulated seeds, mutants, bare-system
	@$(PYTHON) scripts/setup --quiet test
	@scripts/offline $(VENV)/python -m bench.soak
	@OPKIT_SIM_SEEDS=$${OPKIT_SIM_SEEDS:-5000} OPKIT_SIM_NODES=$${OPKIT_SIM_NODES:-500} \
		scripts/offline $(VENV)/python -m pytest -q --timeout 0 -m slow \
		-k "many_seeds or large" tests/devnet/sim
	@OPKIT_TOWN_SEEDS=$${OPKIT_TOWN_SEEDS:-5000} scripts/offline $(VENV)/python -m pytest -q \
		--timeout 0 tests/simulation
	@scripts/offline $(VENV)/python scripts/mutants
	@$(PYTHON) scripts/bare-system $(ARGS)

bare-system: ## Follow the README on a bare Debian (root; ARGS=--quick without the tests)
	@$(PYTHON) scripts/bare-system $(ARGS)

fuzz: ## Ask live nodes at random for long (OPKIT_FUZZ_EXAMPLES), other asks each time
	@$(PYTHON) scripts/setup --quiet test
	@OPKIT_FUZZ_EXAMPLES=$${OPKIT_FUZZ_EXAMPLES:-1000} scripts/offline $(VENV)/python -m pytest \
		-q --timeout 0 -m "not postgres" tests/nodeimpl/*/test_fuzz.py $(ARGS)

mutants: ## Plant mistakes in rules and proofs, one at a time; some test must notice each
	@$(PYTHON) scripts/setup --quiet test
	@scripts/offline $(VENV)/python scripts/mutants $(ARGS)

wheel: ## Build the one wheel that installs everything, in dist
	@$(PYTHON) scripts/setup --quiet test
	@$(VENV)/python scripts/wheel $(ARGS)

wasm: ## Compile the demo's modules from their source
	@$(PYTHON) scripts/setup --quiet wasm
	@.venvs/wasm/bin/python scripts/build-wasm $(ARGS)

lock: ## Resolve the locks again (ARGS=--upgrade for newer versions)
	@$(PYTHON) scripts/setup --quiet test
	@$(VENV)/python scripts/lock $(ARGS)

clean: ## Remove what was made here, the environments and run folders included
	@rm -rf .venv .venvs .venv.lock runs build dist .mypy_cache .ruff_cache .pytest_cache \
		.import_linter_cache .hypothesis .coverage .coverage.* coverage.json
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
