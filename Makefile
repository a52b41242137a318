# Every target does the set-up it needs; `make venv` alone does only that.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: venv demo docs test test-full examples test-viewers test-ds9 test-vo test-engines test-hub viewers check fuzz bench clean

venv: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else "galcnn needs Python 3.11 to 3.13: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: venv
	$(BIN)/galcnn demo --out demo

# Two at once, modules kept together: they share trained networks.
test: venv
	$(BIN)/python -m pytest -n 2 --dist loadscope -m 'not full and not remote_data'

test-full: venv viewers
	$(BIN)/python -m pytest -n 2 --dist loadscope -m 'not remote_data'

# What the README says and the numbered examples, each in order in one folder from nothing; says what took how long.
examples: venv
	$(BIN)/python -m pytest -m full --durations=15 tests/test_readme.py tests/test_examples.py

test-viewers: venv viewers
	$(BIN)/python -m pytest tests/viewers tests/report

# The real DS9 alone: values, sky positions and pictures read back.
test-ds9: venv viewers
	$(BIN)/python -m pytest tests/viewers/test_ds9.py tests/viewers/test_view_in_ds9.py

# Opt-in: installs a server of the Virtual Observatory with PostgreSQL (Debian, root) and fetches from it.
test-vo: venv
	sh tests/surveys/dachs/run.sh $(BIN)/python

# Opt-in: Dask, LSDB, ceci with MPI, Snakemake, LSST's pipelines and (Debian, root) Slurm, two workers each.
test-engines: venv
	sh tests/workflows/run.sh $(BIN)/python

# Opt-in: encoders against timm itself, in an environment with torch beside this one (2 GB).
test-hub: venv
	test -x .venv-timm/bin/python || $(BIN)/python -m venv .venv-timm
	.venv-timm/bin/python -m pip install --quiet --disable-pip-version-check 'timm==1.0.31' 'torch==2.14.1'
	GALCNN_TIMM_PYTHON=$(CURDIR)/.venv-timm/bin/python $(BIN)/python -m pytest tests/model/encoders tests/model/hub

# DS9, a virtual screen, fitsverify and Chromium, from Debian; tests that need them skip where they are not.
viewers:
	@if command -v ds9 >/dev/null && command -v Xvfb >/dev/null && command -v xpaget >/dev/null \
		&& command -v fitsverify >/dev/null && command -v chromium >/dev/null \
		&& command -v chromedriver >/dev/null; then :; \
	elif command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends \
			saods9 xvfb xpa-tools fitsverify chromium chromium-driver; \
	else echo 'Install saods9, xvfb, xpa-tools, fitsverify, chromium and chromedriver to run the viewer tests.'; fi

# The site in build/docs/html: warnings are errors, links within it are checked; tutorials are run once and kept.
docs: venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -d build/docs/doctrees docs build/docs/html

check: venv
	$(BIN)/ruff check galcnn tests examples docs
	$(BIN)/ruff format --check galcnn tests examples docs
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py tests/test_docstrings.py

# Damaged files of every format: 20,000 FITS images and 5,000 of each other, in processes with limits; some 40 minutes.
fuzz: venv
	$(BIN)/python -m tests.fuzz --kinds

bench: venv
	$(BIN)/python -m tests.benchmarks --out bench.json

clean:
	rm -rf .venv .venv-timm build dist *.egg-info demo bench.json
