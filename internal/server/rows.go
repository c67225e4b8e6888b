package server

import "fulmen/shard/command"

// sessionRows returns the commands of this package.
func sessionRows() []*command.Row {
	var all []*command.Row
	for _, family := range [][]*command.Row{
		connectionRows(), clientRows(), multiRows(), serverRows(), migrateRows(), saveRows(), rewriteRows(), waitRows(),
		replicaRows(), replicaofRows(), failoverRows(), pubsubRows(), clusterRows(),
		scriptRows(), {moduleRow()},
	} {
		all = append(all, family...)
	}
	return all
}

// onSession fits a handler of this package to a row.
func onSession(run func(s *Session) error) func(command.Session) error {
	return func(s command.Session) error { return run(s.(*Session)) }
}
