# The commands that people and continuous integration both run. A fresh machine needs Python 3.11 or later, and make.
PYTHON ?= python3
VENV ?= .venv
LOWEST ?= .venv-lowest
EPOCHS ?= 100
PORT ?= 8000
WORKERS ?= 2
SIZE ?= small
TIER ?= embedded
# Threads of torch that wait shall spin briefly, then sleep: beside other work long spinning makes everything slower.
# Kernels and workers inherit this; it counts only if it is set before torch is imported.
ifndef OMP_WAIT_POLICY
export GOMP_SPINCOUNT ?= 10000
export OMP_WAIT_POLICY := passive
endif

ifneq ($(words $(VENV)),1)
$(error VENV is "$(VENV)"; make takes no name with a space in it, so choose another folder)
endif
BIN := $(VENV)/bin
TEXTS := $(wildcard book/*.md)
NOTEBOOKS := $(TEXTS:.md=.ipynb)
TESTED ?= _executed
TIMEOUT ?= 600
BOOK := $(BIN)/jupyter-book build -W -n --keep-going --all
# pages have no kernel, so no widgets either, and offer their figures for download
QUIET := TQDM_DISABLE=1 PYDEVD_DISABLE_FILE_VALIDATION=1 VITGEOM_WIDGETS=0 VITGEOM_DOWNLOADS=1
# tests run side by side: one thread each, or they would fight for the cores
SIDE_BY_SIDE := OMP_NUM_THREADS=1 $(QUIET) $(BIN)/python -m pytest -n $(WORKERS)

.PHONY: help book serve offer pdf test lint unit notebooks tested-book pages paper pairs gpu bench evidence zoo links alone dist versions clean
.DEFAULT_GOAL := help

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

book: $(VENV)/.book ## execute every chapter and build the book into _build/html
	rm -rf _build
	$(QUIET) $(BOOK) .

serve: ## serve the built book on http://127.0.0.1:8000 (PORT=...)
	@test -f _build/html/index.html || { echo "There is no book yet: run make book first."; exit 1; }
	@$(PYTHON) -c 'import socket; socket.create_server(("127.0.0.1", $(PORT)))' 2>/dev/null || \
	  { echo "Port $(PORT) cannot be had; choose another: make serve PORT=8001"; exit 1; }
	$(PYTHON) -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

# Colab opens notebooks of a repository, and these begin with a cell that installs the package
offer: ## push the notebooks of the book that make test built to the branch `notebooks`, alone and without history
	@test -d _build/html/_sources || { echo "There is no book yet: run make test first."; exit 1; }
	@export GIT_INDEX_FILE="$$(git rev-parse --absolute-git-dir)/offered" && rm -f "$$GIT_INDEX_FILE" && \
	  git --work-tree=_build/html/_sources add --force -- '*.ipynb' && \
	  commit="$$(git -c user.name=vitgeom -c user.email=vitgeom@localhost commit-tree "$$(git write-tree)" -m 'Notebooks of the book')" && \
	  rm -f "$$GIT_INDEX_FILE" && git push --quiet --force origin "$$commit:refs/heads/notebooks"

pdf: $(VENV)/.test ## print the chapters that make test executed into _build/vitgeom.pdf (wants Chromium)
	@test -f $(TESTED)/_config.yml || { echo "No chapter is executed yet: run make test first."; exit 1; }
	@$(BIN)/python book/_ext/printed.py
	rm -rf _print
	$(QUIET) $(BOOK) --builder singlehtml $(TESTED) --path-output _print
	mkdir -p _build && $(BIN)/python book/_ext/printed.py _print/_build/singlehtml _build/vitgeom.pdf

test: lint unit notebooks tested-book pages paper ## everything: lint, types, unit tests, pairs, layers, notebooks, book, built pages

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

unit: $(VENV)/.test
	$(SIDE_BY_SIDE) --durations=30 --ignore tests/pages

versions: ## unit tests with the oldest torch, timm, transformers, NumPy and xarray that are allowed (PYTHON=python3.12)
	$(MAKE) $(LOWEST)/bin/python VENV=$(LOWEST)
	$(LOWEST)/bin/python -m tests.lowest > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check --constraint $(LOWEST)/constraints.txt --editable '.[test]'
	touch $(LOWEST)/.test
	$(MAKE) unit VENV=$(LOWEST)

# The chapters are executed once, by nbmake, on the package as its wheel has it; the book that is then built and checked
# is made of exactly these runs.
notebooks: $(VENV)/.test
	rm -rf $(TESTED) && mkdir -p $(TESTED)
	cp -R book benchmarks evidence references.bib _toc.yml $(TESTED)
	sed 's/execute_notebooks: force/execute_notebooks: "off"/' _config.yml > $(TESTED)/_config.yml
	$(BIN)/python -m tests.wheel $(TESTED)/_wheel
	PYTHONPATH="$(abspath $(TESTED)/_wheel)" $(SIDE_BY_SIDE) --nbmake --overwrite --nbmake-timeout=$(TIMEOUT) --durations=0 $(NOTEBOOKS:%=$(TESTED)/%)

alone: $(VENV)/.test ## every chapter on the installed wheel alone, in an empty environment (wants a network)
	$(BIN)/python -m tests.alone

# a page that is not executed has no output, but all its links
links: $(VENV)/.book ## follow every link of the book (wants a network)
	rm -rf _links && mkdir _links
	cp -R book benchmarks evidence references.bib _toc.yml _links
	sed 's/execute_notebooks: force/execute_notebooks: "off"/' _config.yml > _links/_config.yml
	$(QUIET) $(BIN)/jupyter-book build --builder linkcheck _links

dist: $(VENV)/.release ## build wheel and source distribution into dist, and check them
	rm -rf dist build
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*

tested-book: notebooks
	rm -rf _build
	$(QUIET) $(BOOK) $(TESTED) --path-output .

pages: tested-book
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --durations=30 tests/pages

gpu: ## the whole book on the papers' own networks (VITGEOM_TIER=paper): wants a GPU and the hub
	VITGEOM_TIER=paper VITGEOM_DEVICE=$${VITGEOM_DEVICE:-cuda} $(MAKE) tested-book TIMEOUT=3600 WORKERS=1

paper: $(VENV)/.test ## every chapter as `make gpu` runs it, on small random checkpoints from a stand-in for the hub
	$(BIN)/python -m tests.paper_tier $(MAKE) notebooks TESTED=_paper

pairs: $(VENV)/.book ## make the notebook of every chapter from its text
	$(BIN)/jupytext --quiet --update --to ipynb $(TEXTS)

bench: $(VENV)/.bench ## time every engine against peers and a floor (SIZE=small|large|all, ENGINES=..., DEVICE=...)
	$(QUIET) $(BIN)/python -W ignore -m benchmarks $(ENGINES) --size $(SIZE) $(if $(DEVICE),--device $(DEVICE))

evidence: $(VENV)/.book ## record what the claims rest on (hours; it goes on where it was): TIER=embedded|controls|paper|pretrained, RUN=...
	$(BIN)/python -m vitgeom_nb.recipes.record --tier $(TIER) $(if $(RUN),--run "$(RUN)") $(if $(DEVICE),--device $(DEVICE))

zoo: $(VENV)/.book ## train the embedded networks and the controls (EPOCHS=...) and write their weights and cards
	$(BIN)/python -m vitgeom_nb.recipes.train --epochs $(EPOCHS)
	$(BIN)/python -m vitgeom_nb.recipes.ship

clean: ## remove the built book
	rm -rf _build _executed _paper _links _print dist build

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "vitgeom needs Python 3.11 or later; name one with make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.book $(VENV)/.test $(VENV)/.bench $(VENV)/.release: $(VENV)/.%: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	touch $@
