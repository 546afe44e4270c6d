// Package cluster introduces to each other what makes several nodes one: the table
// (route), the logs that keep it alike everywhere (replica), the links (peer) and the
// members (gossip). It decides nothing that they could decide; it translates between
// their words and those of the registry and of delivery.
//
//	registry opens, closes ──> replica (own log) ──> peer (deltas) ──> others' replica ──> table
//	deliver ──> table (where?) ──> peer (forward) ──> others' deliver
//	gossip (who is a member) ──> peer (whom to link), replica (whose log to follow)
//	peer (a link was reset) ──> gossip (is it dead?)
//	registry opens, closes ──> records (journal, keeper) ──> peer ──> store of the account's home
//	gossip (members changed) ──> homes ──> handover (facts on this disk) ──> records ──> their new homes
//
// cmd/roost makes one Cluster, before the registry, which needs its hashes, and starts
// it when the listeners' addresses are known. Start reading at cluster.go, then links.go for
// what arrives and locate.go for what delivery asks.
package cluster
