# Each target is one command that needs nothing but Rust (and Debian to install the rest from).
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test lint fmt bench build image cluster cluster-down cluster-test cluster-bench deps

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## Two nodes and a router on this machine: pods get addresses and talk to each other (root)
	@scripts/install-deps build demo
	@scripts/build
	@demo/run

test: ## All tests: unit, property and golden ones, and with root those in network namespaces
	@scripts/install-deps build
	@scripts/build
	@scripts/test

lint: ## Format, clippy, rustdoc, shellcheck, licences, layers, links: any warning fails
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

image: ## The container image: target/image/flock.tar, tagged flock:VERSION
	@scripts/install-deps build image
	@scripts/build
	@scripts/image

cluster: ## A Kubernetes cluster with flock on this machine, to look at: NODES=2 (root)
	@scripts/install-deps build cluster image
	@scripts/cluster-programs
	@[[ "$${NETWORK:-}" == ptp ]] || { scripts/build && scripts/image; }
	@cargo run --quiet --locked --package flock-cluster -- up

cluster-down: ## Take it down
	@cargo run --quiet --locked --package flock-cluster -- down

cluster-test: ## The tests that need a cluster: bring one up, run them on it, take it down (root)
	@scripts/install-deps build cluster image
	@scripts/cluster-programs
	@scripts/build
	@scripts/image
	@FLOCK_BIN_DIR="$$PWD/bin" cargo test --locked --no-fail-fast --package flock-cluster --features cluster --test flock

cluster-bench: ## 110 pods at once on a node of a cluster, with flock and with ptp (root)
	@scripts/install-deps build cluster image
	@scripts/cluster-programs
	@scripts/build
	@scripts/image
	@cargo run --quiet --locked --package flock-cluster -- crowd --network flock-daemon-set

deps: ## Install the Debian packages that all of these need (root)
	@scripts/install-deps build test demo lint bench cluster image
