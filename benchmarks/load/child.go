package load

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// ChildCommand is the first argument with which this program runs as the generator's process; see Child and Serve.
const ChildCommand = "generate"

// Stop ends a load from outside.
type Stop struct {
	reader *os.File
	writer *os.File
}

// NewStop makes a Stop for one load. Close must be called.
func NewStop() (*Stop, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	return &Stop{reader: reader, writer: writer}, nil
}

// Now tells the load to end; it finishes what it has sent and gives its result.
func (s *Stop) Now() { s.writer.Close() }

// Close frees the pipe, after the load has ended.
func (s *Stop) Close() {
	s.writer.Close()
	s.reader.Close()
}

// Child runs Generate in a process of its own on the given cores (none: any): this very program with ChildCommand
// as its first argument. A stop that is not nil can end it before its time.
func Child(ctx context.Context, cpus []int, plan Plan, stop *Stop) (Result, error) {
	program, err := os.Executable()
	if err != nil {
		return Result{}, fmt.Errorf("load: %w", err)
	}
	plan.UntilEOF = stop != nil
	text, err := json.Marshal(plan)
	if err != nil {
		return Result{}, fmt.Errorf("load: %w", err)
	}
	out, err := run(ctx, cpus, stop, program, ChildCommand, string(text))
	if err != nil {
		return Result{}, err
	}
	var result Result
	if err := json.Unmarshal([]byte(out), &result); err != nil {
		return Result{}, fmt.Errorf("load: generator printed %q: %w", tailOf(out), err)
	}
	return result, nil
}

// Serve is the other end of Child: it runs the plan given as JSON and prints the result as JSON.
func Serve(planJSON string, in io.Reader, out io.Writer) error {
	var plan Plan
	if err := json.Unmarshal([]byte(planJSON), &plan); err != nil {
		return fmt.Errorf("load: plan: %w", err)
	}
	if !plan.UntilEOF {
		in = nil
	}
	result, err := Generate(plan, in)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(result)
}
