# Two commands matter: `make demo` and `make test`. Both install what they need, here or by the system's packages.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test attack mutate check bench docs format clean wheel prometheus tools compiled
.DEFAULT_GOAL := help

help:
	@echo "make demo    the console on a living system, on this machine, in under a minute"
	@echo "make test    every test, on real parts"
	@echo "make check   lint, types, import contracts, the fast tests"
	@echo "make attack  5,000 pushes by strangers, developers and operators against a guarded repository"
	@echo "make mutate  small changes of the soak judge and the gate, and which of them no unit test notices"
	@echo "make bench   speed as ratios, measured now"
	@echo "make docs    the documents as a site, in site/"
	@echo "make format  format the code      make clean   remove what make made"

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing Python packages into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# Where PYTHONDONTWRITEBYTECODE is set nobody else does this, and each of many starts would compile everything anew.
compiled: $(STAMP)
	@$(BIN)/python -m compileall -q console ml widgets scripts

prometheus:
	@scripts/ensure-tools prometheus promtool

tools:
	@scripts/ensure-tools prometheus promtool alertmanager victoria-metrics vmalert jq tmux chromium bwrap git-lfs

demo: compiled
	@scripts/ensure-tools prometheus promtool || true
	@$(BIN)/mlconsole demo

check: compiled
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m scripts.prose
	$(BIN)/python -m pytest tests/unit tests/widgets -q -n 2 --durations=20

test: tools check
	$(BIN)/python -m pytest tests -q -n 2 --dist loadgroup --ignore=tests/unit --ignore=tests/widgets --durations=20

# A seed of the day, which is printed; ATTACK_SEED=… gives the same pushes again, ATTACK_PUSHES=… more or fewer.
ATTACK_PUSHES ?= 5000
attack: compiled prometheus
	ATTACK_PUSHES=$(ATTACK_PUSHES) $(BIN)/python -m pytest tests/attack -q -s

# A sample with a fixed seed, within MUTATE_MINUTES for each of judge and gate; MUTANTS=0 tries all.
MUTANTS ?= 60
MUTATE_MINUTES ?= 10
mutate: compiled
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[mutate]'
	$(BIN)/python -m scripts.mutate --count $(MUTANTS) --minutes $(MUTATE_MINUTES)

bench: compiled prometheus
	$(BIN)/python -m benchmarks

docs: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	$(BIN)/mkdocs build --strict

wheel: $(STAMP)
	$(BIN)/python -m build

format: $(STAMP)
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format .

clean:
	find console ml widgets scripts benchmarks tests -name __pycache__ -prune -exec rm -rf {} +
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
