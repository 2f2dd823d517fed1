//! End-to-end tests on a real Kubernetes: one module per feature.

mod native;
