# What there is to do here. Long steps say what they install and how far they are.
TARGET := $(or $(CARGO_TARGET_DIR),target)
BUILT := $(TARGET)/$(shell rustc --print host-tuple)
BIN := $(TARGET)/bin
CARGO := cargo --locked

.PHONY: help build guests run demo demo-down setup test test-unit test-conformance test-cluster test-node-conformance test-vm lint fmt bench bench-check instructions soak soak-cluster gen check-gen clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

# Bytes of the shim, of which each pod has one.
MAX_SHIM := 6000000

# The shim is in the first line, too, so that all is compiled with the features that the tests have it compiled with.
build: ## perigee, the shim, the operator and xtask, as static binaries in target/bin
	$(CARGO) build --release -p perigee-runtime -p containerd-shim-perigee -p perigee-operator -p xtask
	$(CARGO) build --profile shim -p containerd-shim-perigee
	install -D -t $(BIN) $(addprefix $(BUILT)/,release/perigee shim/containerd-shim-perigee-v1 release/perigee-operator release/xtask)

guests: ## the guest programs and examples (installs clang and the wasm target when missing)
	tests/guests/install-packages.sh
	tests/guests/install-wasm-target.sh
	tests/guests/build.sh

run: guests ## run examples/counter-server on this machine, and ask it something
	$(CARGO) build --release -p perigee-runtime
	demo/local.sh $(BUILT)/release/perigee

demo: build guests ## the same on a real Kubernetes of one node, which is left up (needs root)
	demo/cluster.sh $(BIN)

demo-down: ## take that Kubernetes down
	tests/cluster/down.sh

setup: ## everything that the tests need (needs root for Debian's packages)
	tests/cluster/install-packages.sh
	tests/cluster/build.sh

test: setup test-unit test-conformance test-cluster ## everything

test-unit: guests ## all but the cluster
	$(CARGO) test --release --workspace

test-conformance: build guests ## the test suite and examples of the crate lunatic, unmodified
	$(CARGO) test --release -p perigee-e2e --test conformance

test-cluster: build guests setup ## the tests on a real Kubernetes (needs root)
	$(CARGO) test --release -p perigee-e2e --test it -- --test-threads 4
	tests/cluster/down.sh

# Part of them: make test-node-conformance FOCUS=REGEXP
test-node-conformance: build setup ## Kubernetes' own tests of a node, with Perigee as its runtime (20 minutes, needs root)
	tests/node-conformance/run.sh --bin $(BIN) $(if $(FOCUS),--focus '$(FOCUS)')
	tests/cluster/down.sh

# What the tests compile for themselves is compiled here: there is no compiler in the machine. Nor is there cargo, which insta asks
# for the workspace.
test-vm: export INSTA_WORKSPACE_ROOT := $(CURDIR)
test-vm: ## the shim's tests in a virtual machine with systemd and cgroup version 2 (needs root; slow without KVM)
	$(CARGO) test --release -p containerd-shim-perigee --test it -- --exact node::the_programs_of_containers_are_compiled
	$(CARGO) --config 'target."cfg(all())".runner = "$(CURDIR)/tests/vm/run.sh"' test --release -p containerd-shim-perigee

lint: build ## formatting, clippy, the shim's size, cargo xtask check, generated files
	cargo fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets -- -D warnings
	$(CARGO) clippy --release -p perigee-e2e --test it --test conformance -- -D warnings
	test $$(stat -c %s $(BIN)/containerd-shim-perigee-v1) -le $(MAX_SHIM)
	$(BIN)/xtask check
	$(BIN)/xtask check-gen --operator $(BIN)/perigee-operator

fmt: ## format the code
	cargo fmt --all

# A wasmtime to compare with, where you have one: make bench WASMTIME=PATH. Erlang is one where it is installed.
BENCH := $(BIN)/xtask bench --perigee $(BIN)/perigee $(if $(WASMTIME),--wasmtime $(WASMTIME))

bench: build guests ## measure actors, and write docs/bench/ (half an hour, on a machine that does nothing else)
	$(BENCH) --out docs/bench

bench-check: build guests ## fail when a ratio is worse than in docs/bench/results.json
	$(BENCH) --against docs/bench/results.json

instructions: build guests ## fail when a spawn or a message takes more instructions than is known (installs valgrind)
	tests/bench/install-packages.sh
	$(BIN)/xtask instructions

soak: guests ## actors under random load for 10 minutes
	cargo xtask soak --minutes 10

soak-cluster: build guests setup ## 2,000 pods come and go on a real Kubernetes (20 minutes, needs root)
	$(CARGO) test --release -p perigee-e2e --test it -- --ignored come_and_go
	tests/cluster/down.sh

gen: build ## write the generated files
	$(BIN)/xtask gen --operator $(BIN)/perigee-operator

check-gen: build ## fail when a generated file is out of date
	$(BIN)/xtask check-gen --operator $(BIN)/perigee-operator

clean: ## remove what was built here (not the cache of the cluster's programs)
	cargo clean
