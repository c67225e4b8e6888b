package redistest

import "strconv"

// FieldExpiries are the commands about times to live of fields of hashes, which redis-server has from 7.4 or 8.0 on.
func FieldExpiries() Grammar {
	var grammar Grammar
	for _, form := range []struct {
		name         string
		absolute, ms bool
	}{{"hexpire", false, false}, {"hpexpire", false, true}, {"hexpireat", true, false}, {"hpexpireat", true, true}} {
		grammar = append(grammar, Command{Name: form.name, Weight: 20, Args: func(g *Gen) []string {
			args := []string{g.Key(), g.TTL(form.absolute, form.ms)}
			if g.Chance(2) {
				args = append(args, g.anyCase(g.Pick("nx", "xx", "gt", "lt")))
			}
			return append(args, g.fieldsOption()...)
		}})
	}
	for _, name := range []string{"httl", "hpttl", "hexpiretime", "hpexpiretime"} {
		near := int64(nearSec)
		if name[1] == 'p' {
			near = nearMs
		}
		grammar = append(grammar, Command{Name: name, Weight: 8, Args: keyAndFields, tol: tolerance{near: near}})
	}
	return append(grammar,
		Command{Name: "hpersist", Weight: 10, Args: keyAndFields},
		Command{Name: "hgetdel", Weight: 10, Args: keyAndFields},
		Command{Name: "hgetex", Weight: 16, Args: func(g *Gen) []string {
			return append(append([]string{g.Key()}, g.fieldExpiry("persist")...), g.fieldsOption()...)
		}},
		Command{Name: "hsetex", Weight: 24, Args: func(g *Gen) []string {
			args := []string{g.Key()}
			args = append(args, g.options(4, []string{"fnx"}, []string{"fxx"})...)
			args = append(args, g.fieldExpiry("keepttl")...)
			pairs := fieldsAndValues(g)[1:]
			n := strconv.Itoa(len(pairs) / 2)
			if g.Chance(20) {
				n = g.Int()
			}
			return append(append(args, g.anyCase("fields"), n), pairs...)
		}},
	)
}

func keyAndFields(g *Gen) []string { return append([]string{g.Key()}, g.fieldsOption()...) }

// fieldsOption gives FIELDS, a number, rarely a wrong one, and fields, some of them twice.
func (g *Gen) fieldsOption() []string {
	some := fields(g)[1:]
	n := strconv.Itoa(len(some))
	if g.Chance(20) {
		n = g.Int()
	}
	return append([]string{g.anyCase("fields"), n}, some...)
}

// fieldExpiry gives an option that sets an expiry, or one that is given, or none.
func (g *Gen) fieldExpiry(other string) []string {
	switch g.rnd.IntN(6) {
	case 0:
		return []string{g.anyCase(other)}
	case 1:
		return []string{"ex", g.TTL(false, false)}
	case 2:
		return []string{"PX", g.TTL(false, true)}
	case 3:
		return []string{"exat", g.TTL(true, false)}
	case 4:
		return []string{"pxat", g.TTL(true, true)}
	}
	return nil
}
