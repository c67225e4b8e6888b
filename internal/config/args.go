package config

import "strings"

// commandLine is what the arguments ask for.
type commandLine struct {
	file    string
	stdin   bool
	options string // as lines of a file
}

// parseArgs turns --name value … into the line `name "value" …`.
func parseArgs(args []string) (commandLine, error) {
	var out commandLine
	if len(args) > 0 {
		switch args[0] {
		case "-h", "--help":
			return out, ErrHelp
		case "-v", "--version":
			return out, ErrVersion
		}
		switch {
		case args[0] == "-":
			out.stdin, args = true, args[1:]
		case !strings.HasPrefix(args[0], "-"):
			out.file, args = args[0], args[1:]
		}
	}
	var options strings.Builder
	wantsValue := false // the last word was an option's bare name: whatever follows is its value
	for i, arg := range args {
		last := i == len(args)-1
		switch {
		case arg == "-" && last:
			out.stdin = true
		case !wantsValue && strings.HasPrefix(arg, "--"):
			// "--name value" in one word is a whole line already.
			options.WriteString("\n" + arg[2:] + " ")
			wantsValue = isOneWord(arg)
			if strings.EqualFold(arg, "--save") && (last || strings.HasPrefix(args[i+1], "--")) {
				options.WriteString(`""`)
				wantsValue = false
			}
		default:
			options.WriteString(quote(arg) + " ")
			wantsValue = false
		}
	}
	out.options = strings.TrimPrefix(options.String(), "\n")
	return out, nil
}

func isOneWord(s string) bool {
	words, err := splitArgs(s)
	return err == nil && len(words) == 1
}

// Usage is what --help prints for a program of that name.
func Usage(program string) string {
	return strings.ReplaceAll(`Usage: PROGRAM [/path/to/fulmen.conf] [options] [-]
       PROGRAM - (read config from stdin)
       PROGRAM -v or --version
       PROGRAM -h or --help

Options are the parameters of the configuration file, as --name value…

Examples:
       PROGRAM (run the server with default conf)
       echo 'maxmemory 128mb' | PROGRAM -
       PROGRAM /etc/fulmen/6379.conf
       PROGRAM --port 7777
       PROGRAM --port 7777 --bind 127.0.0.1 -::1
       PROGRAM /etc/fulmen.conf --loglevel verbose -
`, "PROGRAM", program)
}
