package config

import (
	"slices"
	"strings"
)

const (
	errImmutable = reason("can't set immutable config")
	errProtected = reason("can't set protected config")
	errDuplicate = reason("duplicate parameter")
)

// Set does CONFIG SET name value [name value …]: all or nothing. local tells whether the client is on this machine
// (loopback or unix socket), which protected parameters may require. Errors are ErrSyntax, *UnknownError and *SetError;
// the reply is their text behind the code ERR.
func (c *Config) Set(args []string, local bool) error {
	if len(args) == 0 || len(args)%2 != 0 {
		return ErrSyntax
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.Values()
	targets, err := findTargets(args, old.EnableProtectedConfigs.Allows(local))
	if err != nil {
		return err
	}
	env := c.env
	var notices []string
	env.Notice = func(text string) { notices = append(notices, text) }
	changes, err := parseTargets(args, targets, old, &env)
	if err != nil {
		return err
	}
	if len(changes) > 0 {
		next := old.with(changes)
		if i, err := c.apply(old, next, changes); err != nil {
			return &SetError{rows[changes[i].row].name, err}
		}
		c.values.Store(next)
	}
	for _, text := range notices {
		c.env.notice(text)
	}
	return nil
}

// findTargets gives the row of each pair of args. The first thing wrong decides the error. A parameter named by two of
// its names counts as twice the same, which Redis overlooks.
func findTargets(args []string, protectedAllowed bool) ([]int, error) {
	targets := make([]int, 0, len(args)/2)
	for i := 0; i < len(args); i += 2 {
		name := args[i]
		t := lookup(name)
		switch {
		case t < 0:
			return nil, &UnknownError{name}
		case rows[t].immutable:
			return nil, &SetError{name, errImmutable}
		case rows[t].protected && !protectedAllowed:
			return nil, &SetError{name, errProtected}
		case slices.Contains(targets, t):
			return nil, &SetError{name, errDuplicate}
		}
		targets = append(targets, t)
	}
	return targets, nil
}

// parseTargets gives the settings that differ from the present ones.
func parseTargets(args []string, targets []int, old *Values, env *Env) ([]change, error) {
	var changes []change
	for i, t := range targets {
		r := &rows[t]
		s, err := r.accept(r.split(args[2*i+1]), old.settings[t], env)
		if err != nil {
			return nil, &SetError{strings.ToLower(args[2*i]), err}
		}
		if s.text != old.settings[t].text || s.n != old.settings[t].n {
			changes = append(changes, change{t, s})
		}
	}
	return changes, nil
}

// apply runs the hooks of the changed rows. If one fails, those that ran before are undone and culprit is the index of
// the first change that the failed one was called for.
func (c *Config) apply(old, next *Values, changes []change) (culprit int, err error) {
	var done []hook
	for _, h := range c.hooks {
		i := slices.IndexFunc(changes, func(ch change) bool { return slices.Contains(h.rows, ch.row) })
		if i < 0 {
			continue
		}
		if err := h.run(old, next); err != nil {
			return i, c.undo(done, old, next, err)
		}
		done = append(done, h)
	}
	return 0, nil
}

// undo runs hooks backwards. One that can't go back is noted in the log: there is nothing else left to do.
func (c *Config) undo(done []hook, old, next *Values, cause error) error {
	c.env.notice("Failed applying new configuration: " + cause.Error() + ". Restoring previous settings.")
	for _, h := range slices.Backward(done) {
		if err := h.run(next, old); err != nil {
			c.env.notice("Failed restoring previous configuration: " + err.Error())
		}
	}
	return cause
}

// Override sets one parameter, immutable or not, without running hooks: for what the server finds out while it starts
// (a maxclients that the system does not allow, the shard count of an existing data directory).
func (c *Config) Override(name, value string) error {
	i := lookup(name)
	if i < 0 {
		return &UnknownError{name}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.Values()
	s, err := rows[i].accept(rows[i].split(value), v.settings[i], &c.env)
	if err != nil {
		return &SetError{rows[i].name, err}
	}
	c.values.Store(v.with([]change{{i, s}}))
	return nil
}
