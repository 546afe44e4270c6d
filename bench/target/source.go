package target

import (
	"fmt"
	"net/netip"
	"strings"
)

// sourcesMax bounds how many source addresses one run may use: 65,536 of them
// have ports for four billion connections.
const sourcesMax = 1 << 16

// ParseSources reads a list of local addresses and ranges of them, separated by
// commas: 127.0.1.1-127.0.1.250,10.0.0.7. The empty text means that the kernel
// chooses and gives an empty list.
func ParseSources(text string) ([]netip.Addr, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var all []netip.Addr
	for item := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(item), "-")
		from, err := netip.ParseAddr(first)
		if err != nil {
			return nil, fmt.Errorf("source %q is not an address: write 127.0.1.1 or 127.0.1.1-127.0.1.250", item)
		}
		to := from
		if isRange {
			if to, err = netip.ParseAddr(last); err != nil {
				return nil, fmt.Errorf("source %q: %q is not an address", item, last)
			}
		}
		if from.BitLen() != to.BitLen() || to.Less(from) {
			return nil, fmt.Errorf("source range %q runs backwards", item)
		}
		for addr := from; ; addr = addr.Next() {
			if len(all) == sourcesMax {
				return nil, fmt.Errorf("sources %q are more than %d addresses", text, sourcesMax)
			}
			all = append(all, addr)
			if addr == to {
				break
			}
		}
	}
	return all, nil
}
