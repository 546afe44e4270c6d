package cluster

import (
	"slices"
	"strings"

	"github.com/roostpush/roost/session"
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
	list, err := d.Own.Devices(account, limit)
	if err != nil {
		return nil, err
	}
	at := make(map[string]int, len(list))
	for i := range list {
		at[list[i].Device] = i
	}
	others, _ := d.Others.Known(session.Address{Account: account})
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
