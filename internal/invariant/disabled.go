//go:build !invariants

package invariant

// Enabled is true if costly checks are compiled in (build tag `invariants`).
const Enabled = false
