package server

import (
	"slices"

	"fulmen/internal/resp"
	"fulmen/shard/command"
)

// errNoCluster is the reply of all commands of a cluster: a server is a whole keyspace.
var errNoCluster = resp.Errorf("ERR", "This instance has cluster support disabled")

// noCluster refuses.
func noCluster(*Session) error { return errNoCluster }

// clusterRows has the commands of Redis Cluster, so that clients that ask find out that there is none.
func clusterRows() []*command.Row {
	rows := []*command.Row{

		{Info: command.Info{
			Name: "readonly", Arity: 1, Since: "3.0.0", Group: "cluster",
			Flags:   command.Loading | command.Stale | command.Fast,
			Summary: "Enables read queries for a connection to a cluster replica node", Complexity: "O(1)",
			Categories: command.CatConnection,
		}, RunSession: onSession(noCluster)},
		{Info: command.Info{
			Name: "readwrite", Arity: 1, Since: "3.0.0", Group: "cluster",
			Flags:   command.Loading | command.Stale | command.Fast,
			Summary: "Disables read queries for a connection to a cluster replica node", Complexity: "O(1)",
			Categories: command.CatConnection,
		}, RunSession: onSession(noCluster)},
		{Info: command.Info{
			Name: "asking", Arity: 1, Since: "3.0.0", Flags: command.Fast, Group: "cluster",
			Summary: "Sent by cluster clients after an -ASK redirect", Complexity: "O(1)",
			Categories: command.CatConnection,
		}, RunSession: onSession(noCluster)},
	}
	container := &command.Row{Info: command.Info{
		Name: "cluster", Arity: -2, Group: "cluster", Since: "3.0.0", Summary: "A container for cluster commands",
		Complexity: "Depends on subcommand.",
	}}
	for _, info := range clusterInfos() {
		if info.Flags == 0 {
			info.Flags = command.Admin | command.Stale | command.NoAsyncLoading
		}
		info.Group = "cluster"
		container.Subs = append(container.Subs, &command.Row{Info: info, RunSession: onSession(noCluster)})
	}
	return append(rows, container)
}

// clusterInfos describes all subcommands; those without flags would change a cluster.
func clusterInfos() []command.Info {
	return slices.Concat(clusterChanges(), clusterNodes(), []command.Info{
		{
			Name: "countkeysinslot", Arity: 3, Since: "3.0.0", Flags: command.Stale,
			Summary: "Return the number of local keys in the specified hash slot", Complexity: "O(1)",
			Args: "slot:integer",
		},
		{
			Name: "getkeysinslot", Arity: 4, Since: "3.0.0", Flags: command.Stale,
			Summary:    "Return local key names in the specified hash slot",
			Complexity: "O(log(N)) where N is the number of requested keys",
			Tips:       []string{"nondeterministic_output"},
			Args:       "slot:integer count:integer",
		},
		{
			Name: "help", Arity: 2, Since: "5.0.0", Flags: command.Loading | command.Stale,
			Summary: "Show helpful text about the different subcommands", Complexity: "O(1)",
		},
		{
			Name: "info", Arity: 2, Since: "3.0.0", Flags: command.Stale,
			Summary: "Provides info about Redis Cluster node state", Complexity: "O(1)",
			Tips: []string{"nondeterministic_output"},
		},
		{
			Name: "keyslot", Arity: 3, Since: "3.0.0", Flags: command.Stale,
			Summary:    "Returns the hash slot of the specified key",
			Complexity: "O(N) where N is the number of bytes in the key",
			Args:       "key:string",
		},
		{
			Name: "reset", Arity: -2, Since: "3.0.0", Flags: command.Admin | command.NoScript | command.Stale,
			Summary: "Reset a Redis Cluster node",
			Complexity: "O(N) where N is the number of known nodes. " +
				"The command may execute a FLUSHALL as a side effect.",
			Args: "hard_soft?(HARD|SOFT)",
		},
	})
}

// clusterNodes are those that tell of nodes.
func clusterNodes() []command.Info {
	return []command.Info{
		{
			Name: "count-failure-reports", Arity: 3, Since: "3.0.0", Flags: command.Admin | command.Stale,
			Summary:    "Return the number of failure reports active for a given node",
			Complexity: "O(N) where N is the number of failure reports",
			Tips:       []string{"nondeterministic_output"},
			Args:       "node-id",
		},
		{
			Name: "links", Arity: 2, Since: "7.0.0", Flags: command.Stale,
			Summary:    "Returns a list of all TCP links to and from peer nodes in cluster",
			Complexity: "O(N) where N is the total number of Cluster nodes",
			Tips:       []string{"nondeterministic_output"},
		},
		{
			Name: "myid", Arity: 2, Since: "3.0.0", Flags: command.Stale,
			Summary: "Return the node id", Complexity: "O(1)",
		},
		{
			Name: "nodes", Arity: 2, Since: "3.0.0", Flags: command.Stale,
			Summary:    "Get Cluster config for the node",
			Complexity: "O(N) where N is the total number of Cluster nodes",
			Tips:       []string{"nondeterministic_output"},
		},
		{
			Name: "replicas", Arity: 3, Since: "5.0.0", Flags: command.Admin | command.Stale,
			Summary: "List replica nodes of the specified master node", Complexity: "O(1)",
			Tips: []string{"nondeterministic_output"},
			Args: "node-id",
		},
		{
			Name: "shards", Arity: 2, Since: "7.0.0", Flags: command.Stale,
			Summary:    "Get array of cluster slots to node mappings",
			Complexity: "O(N) where N is the total number of cluster nodes",
			Tips:       []string{"nondeterministic_output"},
		},
		{
			Name: "slaves", Arity: 3, Since: "3.0.0", Flags: command.Admin | command.Stale,
			Summary: "List replica nodes of the specified master node", Complexity: "O(1)",
			Tips:            []string{"nondeterministic_output"},
			DeprecatedSince: "5.0.0", ReplacedBy: "`CLUSTER REPLICAS`",
			Args: "node-id",
		},
		{
			Name: "slots", Arity: 2, Since: "3.0.0", Flags: command.Stale,
			Summary:         "Get array of Cluster slot to node mappings",
			Complexity:      "O(N) where N is the total number of Cluster nodes",
			Tips:            []string{"nondeterministic_output"},
			DeprecatedSince: "7.0.0", ReplacedBy: "`CLUSTER SHARDS`",
			History: []command.Change{
				{Since: "4.0.0", What: "Added node IDs."},
				{Since: "7.0.0", What: "Added additional networking metadata field."},
			},
		},
	}
}

// clusterChanges are those that would change a cluster.
func clusterChanges() []command.Info {
	return []command.Info{
		{
			Name: "addslots", Arity: -3, Since: "3.0.0",
			Summary:    "Assign new hash slots to receiving node",
			Complexity: "O(N) where N is the total number of hash slot arguments",
			Args:       "slot:integer*",
		},
		{
			Name: "addslotsrange", Arity: -4, Since: "7.0.0",
			Summary:    "Assign new hash slots to receiving node",
			Complexity: "O(N) where N is the total number of the slots between the start slot and end slot arguments.",
			Args:       "start-slot_end-slot*(start-slot:integer end-slot:integer)",
		},
		{
			Name: "bumpepoch", Arity: 2, Since: "3.0.0",
			Summary: "Advance the cluster config epoch", Complexity: "O(1)",
			Tips: []string{"nondeterministic_output"},
		},
		{
			Name: "delslots", Arity: -3, Since: "3.0.0",
			Summary:    "Set hash slots as unbound in receiving node",
			Complexity: "O(N) where N is the total number of hash slot arguments",
			Args:       "slot:integer*",
		},
		{
			Name: "delslotsrange", Arity: -4, Since: "7.0.0",
			Summary:    "Set hash slots as unbound in receiving node",
			Complexity: "O(N) where N is the total number of the slots between the start slot and end slot arguments.",
			Args:       "start-slot_end-slot*(start-slot:integer end-slot:integer)",
		},
		{
			Name: "failover", Arity: -2, Since: "3.0.0",
			Summary: "Forces a replica to perform a manual failover of its master.", Complexity: "O(1)",
			Args: "options?(FORCE|TAKEOVER)",
		},
		{
			Name: "flushslots", Arity: 2, Since: "3.0.0",
			Summary: "Delete a node's own slots information", Complexity: "O(1)",
		},
		{
			Name: "forget", Arity: 3, Since: "3.0.0",
			Summary: "Remove a node from the nodes table", Complexity: "O(1)",
			Args: "node-id",
		},
		{
			Name: "meet", Arity: -4, Since: "3.0.0",
			Summary: "Force a node cluster to handshake with another node", Complexity: "O(1)",
			History: []command.Change{
				{Since: "4.0.0", What: "Added the optional `cluster_bus_port` argument."},
			},
			Args: "ip port:integer cluster_bus_port:integer?@4.0.0",
		},
		{
			Name: "replicate", Arity: 3, Since: "3.0.0",
			Summary: "Reconfigure a node as a replica of the specified master node", Complexity: "O(1)",
			Args: "node-id",
		},
		{
			Name: "saveconfig", Arity: 2, Since: "3.0.0",
			Summary: "Forces the node to save cluster state on disk", Complexity: "O(1)",
		},
		{
			Name: "set-config-epoch", Arity: 3, Since: "3.0.0",
			Summary: "Set the configuration epoch in a new node", Complexity: "O(1)",
			Args: "config-epoch:integer",
		},
		{
			Name: "setslot", Arity: -4, Since: "3.0.0",
			Summary: "Bind a hash slot to a specific node", Complexity: "O(1)",
			Args: "slot:integer subcommand(node-id=IMPORTING|node-id=MIGRATING|node-id=NODE|STABLE)",
		},
	}
}
