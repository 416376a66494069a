# `make demo`, `make test` and `make docs`. Everything else is a target they need.
PYTHON ?= python3
BIN := .venv/bin
# Processes that share the tests, one thread each.
JOBS ?= 2

.PHONY: demo test docs clean
.DELETE_ON_ERROR:

demo: .venv/ready
	$(BIN)/tokenfield demo

test: .venv/tested
	$(BIN)/ruff check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses $(JOBS) --dist loadfile

# The site, into build/site: every tutorial is executed, on one core and without a network, and a warning is an error.
docs: .venv/documented
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build -q -W --keep-going -c docs . build/site
	@echo "the site is build/site/index.html"

# Pinned versions; made anew when they or the package's needs change. The stamp is written last, so an interrupted
# installation is done again.
.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "tokenfield needs Python 3.11 or newer; try: make PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

.venv/tested: .venv/ready
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@

.venv/documented: .venv/ready
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	@touch $@

clean:
	rm -rf .venv demo build docs/api docs/tutorials *.egg-info
