// Package lint holds the project's style as a test: `go test ./internal/lint` reads every file of the tree and fails
// with one line for each place that breaks a rule.
//
// It is no library: nothing but its own tests imports it, and it imports nothing of the server. What gofmt, go vet and
// staticcheck find is left to them.
//
// Each rule is one function of a rule file (size.go, docs.go, names.go, calls.go, state.go, imports.go, text.go), and
// each has a self-test that hands it bad snippets. A rule is never switched off for one place. What is exempt by design
// stands beside the rule: test files, the test-only packages and benchmarks may use the clock and the file system, and
// a decoder may have one long flat switch, named in longSwitches.
//
// # Types
//
// Packages are type-checked one by one with every import left empty. So the check needs neither network nor build, it
// takes a second, and it still knows what each identifier stands for: the package's own variables and types, the
// imported package behind a name, shadowing. It does not know the types of other packages.
package lint
