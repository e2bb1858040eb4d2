# The ways in. Everything is set up by these targets; see README.md.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest
BESIDE = -n $(or $(JOBS),2) --dist loadfile --no-loadscope-reorder
SUITE := test_conformance.py test_conformance_law.py test_conformance_abilities.py \
  test_whose_account_everywhere.py test_limited_credentials.py
# Where it is set, each of the many processes of the tests compiles all of Lockstep anew.
export PYTHONDONTWRITEBYTECODE :=
UNIT := tests/domain tests/evidence tests/architecture

# Hundreds of processes start in the tests; without bytecode each would compile the whole house.
test check connector: export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test check connector bench format lock digests clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(STAMP) ## One sample leaver, from webhook to closed doors (ONCE=1 ends by itself)
	@$(BIN)/lockstep demo $(if $(ONCE),--once)

test: check ## Every test: real servers, real processes
	$(PYTEST) $(BESIDE) $(addprefix --ignore=,$(UNIT))

check: $(STAMP) ## The fast part: format, lint, types, imports, unit tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST) -q $(BESIDE) $(UNIT)

connector: $(STAMP) ## One connector's tests and the suite over it: make connector NAME=<kind>
	$(PYTEST) -q $(addprefix tests/connectors/,$(SUITE) $(NAME)/) -k $(NAME)

bench: $(STAMP) ## Measure against bare Temporal; writes bench/RESULTS.md
	$(BIN)/python -m bench

format: $(STAMP) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(STAMP) ## Refresh the hashed locks (needs uv)
	@sh scripts/lock.sh

digests: ## Pin the images of docker-compose.yml by digest, into an override (needs docker)
	@sh scripts/digests.sh

$(STAMP): locks/dev.txt pyproject.toml scripts/setup.sh
	@sh scripts/setup.sh $(VENV)
	@touch $@

clean: ## Remove the virtual environment and caches, never data
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
