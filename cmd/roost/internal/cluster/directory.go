package cluster

import (
	"fmt"
	"slices"
	"strings"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/api"
	"github.com/roostpush/roost/session/mailbox"
	"github.com/roostpush/roost/session/protocol"
	"github.com/roostpush/roost/session/wire"
)

// Directory lists an account's devices of all nodes (protocol.Directory).
type Directory struct {
	Own    protocol.Directory // of this node
	Others *Cluster
}

// Devices returns the account's devices by name, at most limit. A node that does not
// answer in time is left out. It waits for nodes and for the disk.
func (d Directory) Devices(account string, limit int) ([]wire.DeviceInfo, error) {
	others, _ := d.Others.Known(session.Address{Account: account})
	return d.with(others, account, limit)
}

// Addressees is a Directory for who keeps a message for all devices of an account: one
// that is left out would never get it, and its sender would not know.
type Addressees struct{ Directory }

// Devices is Directory's, and an error while a node does not answer. A node that is gone does not
// hold up messages to accounts for as long as it is missed (cluster.keep.absent_for): the list is
// what the others know, with mailbox.ErrIncomplete beside it if that node may have known more.
// Without anybody on it that is ErrUnreachable: that there is no such device would be a guess.
func (d Addressees) Devices(account string, limit int) ([]wire.DeviceInfo, error) {
	others, missing, err := d.Others.known(session.Address{Account: account})
	if err != nil {
		return nil, err
	}
	list, err := d.with(others, account, limit)
	switch {
	case err != nil || !missing || !d.Others.mayLack(account):
		return list, err
	case len(list) == 0:
		return nil, fmt.Errorf("%w: a node is missing that may have known some", ErrUnreachable)
	}
	return list, mailbox.ErrIncomplete
}

// with is the list of this node's devices and the others.
func (d Directory) with(others []api.Known, account string, limit int) ([]wire.DeviceInfo, error) {
	list, err := d.Own.Devices(account, limit)
	if err != nil {
		return nil, err
	}
	at := make(map[string]int, len(list))
	for i := range list {
		at[list[i].Device] = i
	}
	for _, k := range others {
		info := wire.DeviceInfo{Device: k.Device, Online: k.Online, SinceMS: k.Record.ClosedMS, SeenMS: k.Record.SeenMS, Attrs: k.Record.Attrs}
		if k.Online {
			info.SinceMS, info.SeenMS = k.OpenedMS, max(k.OpenedMS, info.SeenMS)
		}
		i, there := at[k.Device]
		switch {
		case !there:
			at[k.Device] = len(list)
			list = append(list, info)
		case info.Online && !list[i].Online, info.Online == list[i].Online && info.SeenMS > list[i].SeenMS:
			// Who holds a device may not be who keeps what its token said.
			if info.Attrs == nil {
				info.Attrs = list[i].Attrs
			}
			list[i] = info
		case list[i].Attrs == nil:
			list[i].Attrs = info.Attrs
		}
	}
	slices.SortFunc(list, func(a, b wire.DeviceInfo) int { return strings.Compare(a.Device, b.Device) })
	return list[:min(len(list), limit)], nil
}
