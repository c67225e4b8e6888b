package resp

// SplitArgs splits a line into words, as inline commands and configuration files are written, and appends them to
// args. ok is false if quotes are unbalanced or a closing quote is followed by anything but a blank; args is then
// returned as it was.
//
// Words stand between blanks. Inside "double quotes" \n \r \t \b \a, \xHH and \ before any other byte are escapes;
// inside 'single quotes' only \' is. A quote may begin in the middle of a word (a"b c" is the word `ab c`) but ends it.
// A line end inside quotes is part of the word.
//
// Words alias line. Those with quotes are unquoted in place, where they need no more room than before.
func SplitArgs(line []byte, args [][]byte) (out [][]byte, ok bool) {
	out = args
	for i := 0; ; {
		for i < len(line) && isSpace(line[i]) {
			i++
		}
		if i == len(line) {
			return out, true
		}
		begin := i
		for i < len(line) && !endsWord(line[i]) && line[i] != '"' && line[i] != '\'' {
			i++
		}
		end := i
		if i < len(line) && !endsWord(line[i]) {
			if end, i = unquote(line, i); i < 0 {
				return args, false
			}
		}
		out = append(out, line[begin:end:end])
	}
}

// unquote reads the quoted rest of a word, whose opening quote is line[from], and writes its meaning to
// line[from:end]. next is the index behind the closing quote, -1 if the word is not well formed.
func unquote(line []byte, from int) (end, next int) {
	quote := line[from]
	w := from
	for i := from + 1; i < len(line); i++ {
		c := line[i]
		switch {
		case c == quote:
			if i+1 < len(line) && !isSpace(line[i+1]) {
				return 0, -1
			}
			return w, i + 1
		case c != '\\' || i+1 == len(line):
		case quote == '\'':
			if line[i+1] == '\'' {
				c = '\''
				i++
			}
		case line[i+1] == 'x' && i+3 < len(line) && isHex(line[i+2]) && isHex(line[i+3]):
			c = hexDigit(line[i+2])<<4 | hexDigit(line[i+3])
			i += 3
		default:
			i++
			c = escaped(line[i])
		}
		line[w] = c
		w++
	}
	return 0, -1
}

// escaped returns what a backslash before c means inside double quotes.
func escaped(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

// endsWord reports whether c ends a word outside quotes. Vertical tab and form feed are skipped between words but don't
// end one; so does Redis.
func endsWord(c byte) bool {
	return c == ' ' || c == '\n' || c == '\r' || c == '\t'
}

// isSpace is C's isspace.
func isSpace(c byte) bool { return c == ' ' || c-'\t' < 5 }

func isHex(c byte) bool { return c-'0' < 10 || (c|0x20)-'a' < 6 }

// hexDigit returns the value of a hexadecimal digit.
func hexDigit(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return (c | 0x20) - 'a' + 10
}

// AppendQuoted appends s in double quotes, so that SplitArgs gives s back; bytes that do not print become \xHH.
func AppendQuoted[T []byte | string](dst []byte, s T) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == '\r':
			dst = append(dst, `\r`...)
		case c == '\t':
			dst = append(dst, `\t`...)
		case c == '\a':
			dst = append(dst, `\a`...)
		case c == '\b':
			dst = append(dst, `\b`...)
		case c < ' ' || c > '~':
			dst = append(dst, '\\', 'x', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
