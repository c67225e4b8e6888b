package redistest

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"fulmen/internal/resp"
)

// script is a file of commands and their recorded replies.
type script struct {
	oracle string // "redis 7.0.15", or "" before it is recorded
	steps  []scriptStep
	tail   []string // the lines behind the last reply
}

// scriptStep is a command, or a message to be read, and the reply.
type scriptStep struct {
	before  []string // the lines before it as they are: comments, blank lines, directives, the oracle
	line    string   // the line itself
	number  int      // its number, from 1
	conn    int      // from 1
	args    []string // none: only read
	tol     tolerance
	noReply bool
	limits  bool          // the reply depends on the sizes at which encodings change
	replies map[int]reply // by protocol, 2 and 3; none before it is recorded
}

var protocols = []int{2, 3}

// commandLine matches "> command", "@2 > command" and "@2 <".
var commandLine = regexp.MustCompile(`^(?:@([1-9]) )?(?:> (.*)|<)$`)

// directive is a line that says something of the next reply.
var directives = []struct {
	form  *regexp.Regexp
	apply func(s *scriptStep, n int)
}{
	{regexp.MustCompile(`^unordered(?: (\d+))?$`), func(s *scriptStep, n int) { s.tol.unordered = max(n, 1) }},
	{regexp.MustCompile(`^near (\d+)$`), func(s *scriptStep, n int) { s.tol.near = int64(n) }},
	{regexp.MustCompile(`^~float()$`), func(s *scriptStep, _ int) { s.tol.float = true }},
	{regexp.MustCompile(`^any()$`), func(s *scriptStep, _ int) { s.tol.any = true }},
	{regexp.MustCompile(`^noreply()$`), func(s *scriptStep, _ int) { s.noReply = true }},
	{regexp.MustCompile(`^limits()$`), func(s *scriptStep, _ int) { s.limits = true }},
}

// tellsEncoding matches commands whose replies tell of encodings or of the sizes at which they change.
var tellsEncoding = regexp.MustCompile(`(?i)^(object encoding|debug (object|listpack|quicklist|ziplist)|config get) `)

// scriptParser reads a script line by line.
type scriptParser struct {
	script   script
	next     scriptStep // gathers what stands before a command
	recorded []string   // the lines since the last command
}

func parseScript(text string) (*script, error) {
	var p scriptParser
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if err := p.line(strings.TrimRight(line, " \t\r"), i+1); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	if err := p.endReply(); err != nil {
		return nil, fmt.Errorf("the last reply: %w", err)
	}
	p.script.tail = p.next.before
	return &p.script, nil
}

func (p *scriptParser) line(line string, number int) error {
	if match := commandLine.FindStringSubmatch(line); match != nil {
		if err := p.endReply(); err != nil {
			return fmt.Errorf("the reply before: %w", err)
		}
		return p.command(match[1], match[2], line, number)
	}
	if line == "" || line == "#" || strings.HasPrefix(line, "# ") {
		return p.aside(line)
	}
	if oracle, ok := strings.CutPrefix(line, "oracle "); ok {
		p.script.oracle = oracle
		return p.aside(line)
	}
	for _, d := range directives {
		if match := d.form.FindStringSubmatch(line); match != nil {
			n, _ := strconv.Atoi(match[1]) // digits or nothing
			d.apply(&p.next, n)
			return p.aside(line)
		}
	}
	if len(p.script.steps) == 0 || len(p.next.before) > 0 {
		return fmt.Errorf("%q is no command, directive or comment, and no reply can stand here", line)
	}
	p.recorded = append(p.recorded, line)
	return nil
}

// aside keeps a line that stands before a command.
func (p *scriptParser) aside(line string) error {
	p.next.before = append(p.next.before, line)
	return nil
}

func (p *scriptParser) command(conn, command, line string, number int) error {
	step := p.next
	p.next = scriptStep{}
	step.line, step.number, step.conn = line, number, 1
	if conn != "" {
		step.conn = int(conn[0] - '0')
	}
	words, ok := resp.SplitArgs([]byte(command), nil)
	if !ok {
		return errors.New("unbalanced quotes")
	}
	for _, word := range words {
		step.args = append(step.args, string(word))
	}
	step.limits = step.limits || tellsEncoding.MatchString(command)
	p.script.steps = append(p.script.steps, step)
	return nil
}

// endReply takes the lines since the last command as its reply.
func (p *scriptParser) endReply() error {
	lines := p.recorded
	p.recorded = nil
	if len(lines) == 0 {
		return nil
	}
	step := &p.script.steps[len(p.script.steps)-1]
	if step.noReply {
		return fmt.Errorf("%q behind noreply", lines[0])
	}
	step.replies = map[int]reply{}
	if lines[0] != protocolLine(2) {
		r, err := parseReply(lines)
		step.replies[2], step.replies[3] = r, r
		return err
	}
	middle := slices.Index(lines, protocolLine(3))
	if middle < 0 {
		return errors.New("a reply for RESP2 without one for RESP3")
	}
	var err2, err3 error
	step.replies[2], err2 = parseReply(lines[1:middle])
	step.replies[3], err3 = parseReply(lines[middle+1:])
	return errors.Join(err2, err3)
}

func protocolLine(proto int) string { return fmt.Sprintf("RESP%d:", proto) }

// String gives the script's text; of a script that was only parsed, the one it was parsed from.
func (s *script) String() string {
	var lines []string
	for _, step := range s.steps {
		lines = append(lines, step.before...)
		lines = append(lines, step.line)
		two, three := step.replies[2], step.replies[3]
		switch {
		case step.replies == nil:
		case two.String() == three.String():
			lines = two.lines(lines, "")
		default:
			lines = two.lines(append(lines, protocolLine(2)), "")
			lines = three.lines(append(lines, protocolLine(3)), "")
		}
	}
	return strings.Join(append(lines, s.tail...), "\n") + "\n"
}

// setOracle changes the line that names the oracle, or adds one in front.
func (s *script) setOracle(oracle string) {
	s.oracle = oracle
	for _, step := range s.steps {
		for i, line := range step.before {
			if strings.HasPrefix(line, "oracle ") {
				step.before[i] = "oracle " + oracle
				return
			}
		}
	}
	if len(s.steps) > 0 {
		s.steps[0].before = append([]string{"oracle " + oracle}, s.steps[0].before...)
	}
}
