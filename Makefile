# Two commands set everything up: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test check format bench bench-quick kill clean

demo: $(VENV)/.installed
	$(BIN)/python -m crawler.demo

# One command checks everything: format, lint, strict types, warnings as errors, tests.
test: $(VENV)/.installed check
	$(BIN)/pytest

check: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Side by side with Scrapy and plain requests, on sites that nginx serves.
bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks.compare --runs 3 --calm 0.3

bench-quick: $(VENV)/.installed
	$(BIN)/python -m benchmarks.compare --runs 1 --site postgresql --output benchmarks/work/quick.md

# Kill a crawl twenty times and look at what it leaves.
kill: $(VENV)/.installed
	$(BIN)/python -m benchmarks.kill --site postgresql --kills 20

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
