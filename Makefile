# `make demo` and `make test` work on a fresh machine with Python, git and make.
# Everything make builds lies in .venv; `make clean` removes it.

PYTHON ?= python3
LOCK_FLAGS ?=
BIN := .venv/bin

# Compiled programs are shared between runs. JAX would keep only those that took it a
# second; most of ours take less, but there are many.
JAX_COMPILATION_CACHE_DIR ?= $(CURDIR)/.venv/jax-cache
JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS ?= 0
export JAX_COMPILATION_CACHE_DIR JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS

.DEFAULT_GOAL := help
.PHONY: help venv lock demo test test-all test-lowest coverage docs docs-check pictures bench lint types format clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

venv: .venv/.installed ## build .venv from requirements.lock

# Stamps rather than .venv/bin/python: that one is there before venv has finished.
.venv/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo 'rankrise needs Python 3.11 or newer, and "$(PYTHON)" is not; name one: make venv PYTHON=python3.12' >&2; \
	  exit 1; }
	$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv \
	  || echo 'uv is not to be had; pip does its work, more slowly.'
	@touch $@

# The package comes last and alone: a lock with hashes cannot hold a local folder.
# Its build backend is in the lock, so nothing is downloaded without a hash.
.venv/.installed: .venv/.created requirements.lock pyproject.toml
	@echo 'Installing rankrise and its dependencies into .venv ...'
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --no-deps --no-build-isolation -e . \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Keeps the pins that still fit; `make lock LOCK_FLAGS=--upgrade` takes the newest.
lock: .venv/.created ## rewrite requirements.lock from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes $(LOCK_FLAGS) \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' \
	  --extra dev --extra docs pyproject.toml -o requirements.lock

demo: venv ## run the demonstration
	$(BIN)/python examples/demo.py

# The fast tests compile some thousand small programs and run most of them once, so
# optimizing these costs more than it saves. `make test-all` compiles as users do.
test coverage: export XLA_FLAGS ?= --xla_cpu_use_fusion_emitters=false \
  --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true \
  --xla_cpu_parallel_codegen_split_count=1
# There is a test for every core already; threads that wait for one take time from it.
test coverage: export OMP_NUM_THREADS ?= 1
# Numba's last optimizations take a quarter of its time. Its files do not say which were
# made, so these lie where users' programs do not look.
test coverage: export NUMBA_OPT ?= 2
test coverage: export NUMBA_CACHE_DIR ?= $(CURDIR)/.venv/numba-cache
# Programs that tests start read the bytecode that the first of them wrote.
test test-all: export PYTHONDONTWRITEBYTECODE =
# Types are checked meanwhile, and what is said of them comes last. The loops that
# Numba compiles are compiled before, once, rather than by every worker that needs them.
test: lint ## lint, check types and run the fast tests
	@$(BIN)/python -m mypy >.venv/types.txt 2>&1 & types=$$!; \
	$(BIN)/python -c 'from rankrise.completion import _kernels, _plain_kernels; \
	  from rankrise.ensembles import _lookup_kernels; _lookup_kernels.compile_all()'; \
	$(BIN)/python -m pytest -q -n 2 --dist worksteal; tests=$$?; \
	wait $$types; types=$$?; cat .venv/types.txt; exit $$((tests || types))

test-all: lint types docs ## the same with the slow tests and the site, which take minutes
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m '' --timeout=3600 \
	  --jaxtyping-packages=rankrise,beartype.beartype

# In an environment of its own, whose direct dependencies are the oldest that
# pyproject.toml admits.
test-lowest: .venv/.created ## run quick tests on the oldest dependencies
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv/lowest
	$(BIN)/uv pip install --quiet --python .venv/lowest/bin/python \
	  --resolution lowest-direct -e '.[dev]'
	OMP_NUM_THREADS=1 .venv/lowest/bin/python -m pytest -q -W default -p no:cacheprovider \
	  tests/completion/test_result.py tests/estimators/test_completer.py tests/losses \
	  tests/tables tests/tensors/test_incomplete.py tests/test_examples.py

coverage: venv ## say which lines the fast tests reach
	$(BIN)/python -m pytest -q -n 2 --dist worksteal --cov=rankrise --cov-report=term:skip-covered \
	  --cov-report=html:.venv/coverage

# Warnings are errors, links between pages among them; nothing is fetched.
docs: venv ## build the site in docs/_build
	JAX_PLATFORMS=cpu $(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build
	@echo 'docs/_build/index.html'

# The same warnings without pages, in three quarters of the time.
docs-check: venv ## check the pages and links of the site
	@JAX_PLATFORMS=cpu $(BIN)/python -m sphinx -W --keep-going -q -b dummy docs .venv/site

pictures: venv ## draw the pictures of the gallery anew
	MPLBACKEND=Agg $(BIN)/python docs/pictures.py

# Without the cache: a time that contains compiling must contain it every time.
bench: venv ## measure speed and accuracy
	JAX_ENABLE_COMPILATION_CACHE=false $(BIN)/python benchmarks/run.py

lint: venv ## check style and format
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

types: venv ## check types
	$(BIN)/python -m mypy

format: venv ## format the source and fix what can be fixed
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

clean: ## remove .venv, caches, the site and built packages (results in runs/ stay)
	rm -rf .venv dist docs/_build docs/api .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests examples benchmarks -name __pycache__ -type d -exec rm -rf {} +
