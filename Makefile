# Everything happens in .venv, made once and refreshed when pyproject.toml changes.
# ARGS goes on to the program a target runs:  make test ARGS="-k health"

SHELL := /bin/bash
PYTHON_ENV := .venv/bin/python
INSTALLED := .venv/.installed
# What checks the operator's page, and what it is made of.
NODE_MODULES := node_modules/.package-lock.json
# A file's tests stay together, for what they share, and in the order of tests/conftest.py. Without a browser they
# wait more than they work; with one they do not, and are spread among the others: so many keep two cores busy.
WITHOUT_BROWSER := -n 6 --dist loadfile --no-loadscope-reorder -m "not browser and not soak"
ALL := -n 4 --dist loadfile --no-loadscope-reorder -m "not soak"
# What Python has compiled is kept, whatever the shell says: half the time to collect the tests.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo check test tools soak bench run lint lock vendor verify-camoufox clean

help: ## Show this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 14

demo: $(INSTALLED) ## Open a challenged page through the service and prove the cookies with plain Python (ARGS="--browser firefox"; ARGS="--human": a challenge that you pass yourself)
	@bash .ci/setup browser
	@$(PYTHON_ENV) -m demo.demo $(ARGS)

check: lint ## Run `make lint` and all tests that need no browser: a few minutes
	@bash .ci/setup networks redis curl
	$(PYTHON_ENV) -m pytest $(WITHOUT_BROWSER) $(ARGS)

test: $(INSTALLED) $(NODE_MODULES) tools ## Run all tests, those with a real browser too
	$(PYTHON_ENV) -m pytest $(ALL) $(ARGS)

tools: # What all tests need of Debian
	@bash .ci/setup firefox chromium xvfb networks redis curl

soak: $(INSTALLED) ## Prove for half an hour that nothing leaks, grows or hangs: thousands of solves, hundreds of kills
	@bash .ci/setup firefox xvfb redis
	$(PYTHON_ENV) -m pytest -m soak -s $(ARGS)

bench: $(INSTALLED) ## Measure the service beside bare Playwright loops, its API by itself, and several nodes on a Redis
	@bash .ci/setup firefox redis
	$(PYTHON_ENV) -m benchmarks $(ARGS)
	$(PYTHON_ENV) -m benchmarks.fleet_cost

run: $(INSTALLED) ## Run the service in the foreground (ARGS="--workers 2 ...")
	@bash .ci/setup browser
	$(PYTHON_ENV) -m captcha_bypass $(ARGS)

lint: $(INSTALLED) $(NODE_MODULES) ## Check style, formatting, types, imports, the Dockerfile and the workflows
	$(PYTHON_ENV) -m ruff check
	$(PYTHON_ENV) -m ruff format --check
	$(PYTHON_ENV) -m mypy -n 2
	.venv/bin/node node_modules/typescript/bin/tsc --project jsconfig.json
	.venv/bin/lint-imports --no-logo
	.venv/bin/hadolint Dockerfile
	.venv/bin/zizmor --offline --no-progress .github
	.venv/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	.venv/bin/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/{bug,page}.yml

lock: $(INSTALLED) ## Write the image's dependencies anew, as docker/requirements.txt (ARGS=--upgrade for newer ones)
	.venv/bin/uv pip compile pyproject.toml --extra server --group build --universal --python-version 3.13 --generate-hashes \
		--no-emit-index-url --custom-compile-command "make lock" --quiet -o docker/requirements.txt $(ARGS)

vendor: $(INSTALLED) ## Write the libraries of the operator's page anew, from package-lock.json (ARGS=--upgrade for newer ones)
	$(if $(findstring --upgrade,$(ARGS)),.venv/bin/npm update --package-lock-only)
	@bash .ci/setup page
	$(PYTHON_ENV) .ci/vendor.py

verify-camoufox: $(INSTALLED) ## Check what only Camoufox itself can show, with internet (ARGS=--images with Docker): a table and a report
	@bash .ci/setup browser
	$(PYTHON_ENV) -m tests.verify $(ARGS)

clean: ## Remove .venv and everything else that was generated
	rm -rf .venv node_modules dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis benchmarks/results
	find captcha_bypass captcha_bypass_scrapy benchmarks demo examples tests -name __pycache__ -prune -exec rm -rf {} +

$(NODE_MODULES): package-lock.json $(INSTALLED)
	@bash .ci/setup page
	@touch $@

$(INSTALLED): pyproject.toml .ci/setup
	@bash .ci/setup venv
	@touch $@
