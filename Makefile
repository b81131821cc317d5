# Two commands set everything up: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test thorough check format bench bench-quick kill hostile applications torture logins fuzz mutate conformance map clean

demo: $(VENV)/.installed
	$(BIN)/python -m crawler.demo

# One command checks everything: format, lint, strict types, warnings as errors, tests. It does the
# same on every run: Hypothesis tries the same examples, sets have the same order. `make fuzz` is
# where chance may find something. ARGS="-n 0 -x" has no second process and stops at an error.
test: $(VENV)/.installed check
	PYTHONHASHSEED=0 $(BIN)/pytest -n auto --dist worksteal $(ARGS)

# The same, with every case in every way: each site at 1, 4 and 16 requests at a time, and so on.
thorough: $(VENV)/.installed check
	PYTHONHASHSEED=0 $(BIN)/pytest -n auto --dist worksteal --thorough $(ARGS)

check: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m tests.audit

format: $(VENV)/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Side by side with Scrapy, Crawlee, plain requests and Go; writes benchmarks/RESULTS.md and .svg.
# ARGS="--section broad" measures one section again, ARGS="--section none" only writes the report.
bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks.compare --runs 3 --calm 0.3 $(ARGS)

# A taste of it, in under three minutes; writes benchmarks/work/quick.md and .svg.
bench-quick: $(VENV)/.installed
	$(BIN)/python -m benchmarks.compare --quick $(ARGS)

# Kill a crawl twenty times and look at what it leaves.
kill: $(VENV)/.installed
	$(BIN)/python -m benchmarks.kill --site postgresql --kills 20

# Kill crawls a thousand times, at named points and random instants, some of them with the machine;
# then go on from every state that a loss of power leaves. Writes tests/faults/TORTURE.md.
# ARGS="--kills 30 --seed 8" does less, or other things; --only 17 repeats one crawl of a seed.
# `python -m tests.faults.powercuts --help` has the options of the second part.
torture: $(VENV)/.installed
	$(BIN)/python -m tests.faults.torture --kills 1000 --seed 7 --report tests/faults/TORTURE.md $(ARGS)

# Crawl three hundred sites behind a login that are made up at random, with the defaults, and count
# what comes of it. ARGS="--kills" kills each crawl five times, "--brief" prints the faults alone.
SEEDS ?= 0-299
logins: $(VENV)/.installed
	$(BIN)/python -m tests.login_sites.random --seeds $(SEEDS) $(ARGS)

# Search with new random input: for everything that reads what strangers write, whose finds go to
# tests/fuzz/corpus, and for every test that Hypothesis runs, under the name `properties`.
# SECONDS_EACH=600 searches longer, TARGETS="urls html properties" some of them only.
SECONDS_EACH ?= 60
fuzz: $(VENV)/.installed
	$(BIN)/python -m tests.fuzz $(TARGETS) --seconds $(SECONDS_EACH)

# Change the core in small ways, and see which tests notice; writes tests/mutation/REPORT.md.
# MODULES="lanes store/" tries some modules only, MOST=1000 all changes of a module.
MOST ?= 30
mutate: $(VENV)/.installed
	$(BIN)/python -u -m tests.mutation $(MODULES) --most $(MOST)

# Crawl a web where every host is hostile, and write what that takes: docs/hostile.md.
hostile: $(VENV)/.installed
	$(BIN)/python -m tests.hostile

# Follow all links of real applications, as a member with rights to write, however many they are.
applications: $(VENV)/.installed
	FOLLOWED_PAGES=20000 $(BIN)/pytest tests/apps/test_member_sites.py -k everything --timeout 3600 $(ARGS)

# Read the public vectors and write what was made of them to docs/conformance.md.
conformance: $(VENV)/.installed
	$(BIN)/python -m tests.conformance

# Write what each module is for, from its docstring, to docs/code.md.
map: $(VENV)/.installed
	$(BIN)/python -m tests.codemap

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
