package lint

import (
	"testing"
)

// TestTree holds the whole project to the rules.
func TestTree(t *testing.T) {
	files, err := ReadTree("../..")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("only %d files read", len(files))
	}
	for _, finding := range Check(files) {
		t.Error(finding)
	}
}
