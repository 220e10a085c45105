# Each target is one command that needs nothing but Rust (and Debian to install the rest from).
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test lint fmt bench build deps

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## Two nodes and a router on this machine: pods get addresses and talk to each other (root)
	@scripts/install-deps build demo
	@scripts/build
	@demo/run

test: ## All tests: unit, property and golden ones, and with root those in network namespaces
	@scripts/install-deps build
	@scripts/build
	@scripts/test

lint: ## Format, clippy, rustdoc, shellcheck, licences: any warning fails
	@scripts/install-deps build lint
	@scripts/lint

fmt: ## Format the Rust code
	@cargo fmt --all

bench: ## Measure against the budgets and against ptp + host-local (root)
	@scripts/install-deps build bench
	@scripts/build
	@scripts/bench

build: ## Static release programs: bin/flock, bin/flock-agent, bin/flockctl
	@scripts/install-deps build
	@scripts/build

deps: ## Install the Debian packages that all of these need (root)
	@scripts/install-deps build test demo lint bench
