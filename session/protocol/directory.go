package protocol

import (
	"slices"
	"strings"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// Records is what is remembered of devices; the store is one. It may block.
type Records interface {
	Account(account string, limit int) ([]session.Record, error)
}

// NodeDirectory lists devices from this node's registry and records. The registry
// decides who is online: a record is written behind.
type NodeDirectory struct {
	Registry *session.Registry
	Records  Records
}

// Devices returns the account's devices by name, at most limit. It reads the store:
// call it from the pool.
func (d NodeDirectory) Devices(account string, limit int) ([]wire.DeviceInfo, error) {
	records, err := d.Records.Account(account, limit)
	if err != nil {
		return nil, err
	}
	list := make([]wire.DeviceInfo, 0, len(records))
	at := make(map[string]int, len(records))
	for i := range records {
		r := &records[i]
		at[r.Device] = len(list)
		list = append(list, wire.DeviceInfo{Device: r.Device, SinceMS: r.ClosedMS, SeenMS: r.SeenMS, Attrs: r.Attrs})
	}
	for _, s := range d.Registry.AppendAccount(nil, account) {
		i, known := at[s.Device]
		if !known {
			i = len(list)
			list = append(list, wire.DeviceInfo{Device: s.Device})
		}
		list[i].Online, list[i].SinceMS, list[i].SeenMS = true, s.OpenedMS, max(list[i].SeenMS, s.OpenedMS)
	}
	slices.SortFunc(list, func(a, b wire.DeviceInfo) int { return strings.Compare(a.Device, b.Device) })
	return list[:min(len(list), limit)], nil
}
