# Two commands are enough: `make demo` and `make test`. They build what they need.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/signalr-private-link-operator
# One source, the Rust types; a copy where kustomize and helm each look for it.
DEFINITIONS := crds deploy/common/crds charts/signalr-private-link-operator/files/crds
CARGO_DENY_VERSION := 0.20.2
CARGO_MUTANTS_VERSION := 27.1.0
IMAGE := signalr-private-link-operator:$(shell sed -n '/^\[workspace\.package\]/,/^$$/s/^version = "\(.*\)"$$/\1/p' Cargo.toml)
IMAGE_ROOT := target/image/root
CARGO_DENY := $(CACHE)/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny
CARGO_MUTANTS := $(CACHE)/cargo-mutants-$(CARGO_MUTANTS_VERSION)/bin/cargo-mutants

.PHONY: help demo install-local test explore mutants image image-root bench az generate check fmt clippy deny advisories workflows gitops generated tools prerequisites

help: ## Lists the targets
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

prerequisites:
	@tools/prerequisites.sh

tools: prerequisites ## Builds etcd, kube-apiserver, kubectl, both helms, Prometheus and what judges for GitOps (once, cached)
	@tools/build.sh --with-helm >/dev/null
	@tools/helm3.sh >/dev/null
	@tools/go-tool.sh tools/gitops gitops . >/dev/null
	@tools/definitions.sh >/dev/null
	@tools/go-tool.sh tools/dashboard dashboard . >/dev/null
	@tools/go-tool.sh tools/prometheus prometheus github.com/prometheus/prometheus/cmd/prometheus >/dev/null
	@tools/go-tool.sh tools/prometheus promtool github.com/prometheus/prometheus/cmd/promtool >/dev/null

demo: prerequisites ## Shows the whole story in the terminal; KEEP=1 leaves it running
	@tools/build.sh >/dev/null
	cargo build --locked --workspace --bins
	@KEEP=$(KEEP) target/debug/demo

test: tools image-root ## Runs all tests
	@mkdir -p target
	IMAGE_ROOT=$(CURDIR)/$(IMAGE_ROOT) cargo test --locked --workspace 2>&1 | tee target/test.log
	@tools/summary.sh target/test.log

install-local: tools ## Installs the chart into a real API server, with azure-sim as Azure; stays until Ctrl-C
	cargo build --locked --workspace --bins
	@ONCE=$(ONCE) target/debug/install_local

# What the image consists of; the tests run it in an empty chroot. With the revision it would be built again for each commit.
image-root: prerequisites
	@REVISION=unknown tools/image.sh $(IMAGE_ROOT)

image: ## Builds the image with docker, podman or buildah; IMAGE=REGISTRY/NAME:TAG
	@tool=$$(command -v docker || command -v podman || command -v buildah) \
	    || { echo "error: building the image takes docker, podman or buildah; the binary alone: tools/image.sh DIRECTORY" >&2; exit 1; }; \
	"$$tool" build --build-arg "REVISION=$$(git describe --always --exclude '*' --abbrev=40 --dirty)" --tag "$(IMAGE)" .

explore: ## Explores the model deeper than the tests do, and goes many random walks (minutes, much memory)
	cargo run --locked --release -p signalr-private-link-model --bin explore

mutants: $(CARGO_MUTANTS) ## Changes the decision in small ways, each of which a test has to notice (an hour or more)
	$(CARGO_MUTANTS) mutants --package signalr-private-link-core --output target

bench: prerequisites ## Measures (release build); LINKS=10000 PARENTS=1000 NAMESPACES=10 SUBSCRIPTIONS=1, TABLES="one fleet"
	@tools/build.sh >/dev/null
	cargo build --locked --workspace --bins --release
	@LINKS=$(or $(LINKS),5000) PARENTS=$(or $(PARENTS),500) NAMESPACES=$(or $(NAMESPACES),10) SUBSCRIPTIONS=$(or $(SUBSCRIPTIONS),1) target/release/bench $(TABLES)

az: prerequisites ## Runs Microsoft's own article with the real Azure CLI against azure-sim
	@crates/azure-sim/az.sh

generate: tools ## Writes the definitions from the Rust types, and deploy/ from the chart
	@cargo build --locked --quiet --workspace --bins
	@tools/generate.sh target/debug/signalr-private-link-operator $(DEFINITIONS)
	@tools/render.sh

check: fmt clippy generated deny workflows gitops ## Runs the checks of CI beside the tests

fmt:
	cargo fmt --all --check

clippy:
	cargo clippy --locked --workspace --all-targets -- -D warnings

generated: generate
	@git diff --exit-code -- $(DEFINITIONS) deploy \
	    || { echo "error: generated files are not up to date; run make generate and commit" >&2; exit 1; }
	@test -z "$$(git status --porcelain -- $(DEFINITIONS) deploy)" \
	    || { echo "error: generated files are not committed" >&2; exit 1; }

# Advisories need the network beyond the package registry, so they are not part of this.
deny: $(CARGO_DENY)
	$(CARGO_DENY) check --hide-inclusion-graph bans licenses sources

advisories: $(CARGO_DENY) ## Holds Cargo.lock against the advisories of RustSec; needs GitHub
	$(CARGO_DENY) check --hide-inclusion-graph advisories

gitops: ## Checks the Go programs: what judges as Argo CD and Flux do, and what reads the dashboard as Grafana does
	@test -z "$$(gofmt -l tools)" || { echo "error: run gofmt -w tools" >&2; exit 1; }
	@go vet -C tools/gitops .
	@go vet -C tools/dashboard .

workflows: ## Checks the workflows of .github with actionlint (built once, cached)
	@tools/lint.sh

$(CARGO_DENY):
	cargo install cargo-deny --locked --version $(CARGO_DENY_VERSION) --root $(CACHE)/cargo-deny-$(CARGO_DENY_VERSION)

$(CARGO_MUTANTS):
	cargo install cargo-mutants --locked --version $(CARGO_MUTANTS_VERSION) --root $(CACHE)/cargo-mutants-$(CARGO_MUTANTS_VERSION)
