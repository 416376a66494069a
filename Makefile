# Two commands: `make demo` and `make test`. Everything else is a target they need.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test clean
.DELETE_ON_ERROR:

demo: .venv/ready
	$(BIN)/tokenfield demo

test: .venv/tested
	$(BIN)/ruff check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest

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

clean:
	rm -rf .venv demo build *.egg-info
