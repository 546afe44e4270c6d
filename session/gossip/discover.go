package gossip

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// checkJoin reports what is wrong with a discovery address.
func checkJoin(a string) error {
	if strings.HasPrefix(a, "_") {
		if len(a) > 255 || strings.ContainsAny(a, ": /") || strings.Count(a, ".") < 2 {
			return fmt.Errorf("%.80q is not a name of SRV records such as _gossip._tcp.example.com", a)
		}
		return nil
	}
	host, port, err := net.SplitHostPort(a)
	if err != nil || host == "" || !isPlain(host) || len(host) > 255 {
		return fmt.Errorf("%.80q is neither host:port nor a name of SRV records, which begins with '_'", a)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%.80q has no port of 1 to 65535", a)
	}
	return nil
}

// resolver is what is needed of *net.Resolver.
type resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

// resolve returns the addresses that join and join_file mean now, each once, at most
// addresses_max, and how many were left out. What does not resolve is logged once in a
// while: it may resolve the next time.
func resolve(ctx context.Context, cfg Config, dns resolver, log *slog.Logger, repeat *repeats) (addrs []string, leftOut int) {
	ctx, cancel := context.WithTimeout(ctx, cfg.DiscoverTimeout)
	defer cancel()
	join := cfg.Join
	if cfg.JoinFile != "" {
		lines, err := readLines(cfg.JoinFile)
		if err != nil && repeat.due("join_file") {
			log.Warn("join_file cannot be read", "file", cfg.JoinFile, "reason", err)
		}
		join = slices.Concat(join, lines)
	}
	met := map[string]bool{}
	for _, a := range join {
		resolved, err := resolveOne(ctx, dns, a)
		if err != nil && repeat.due("join "+a) {
			log.Warn("a discovery address cannot be resolved", "addr", a, "reason", err)
		}
		for _, r := range resolved {
			switch {
			case met[r]:
			case len(addrs) >= cfg.AddressesMax:
				leftOut++
			default:
				addrs = append(addrs, r)
			}
			met[r] = true
		}
	}
	if leftOut > 0 && repeat.due("addresses_max") {
		log.Warn("there are more discovery addresses than addresses_max", "used", len(addrs), "left_out", leftOut)
	}
	return addrs, leftOut
}

// resolveOne returns the ip:port of all records of one discovery address.
func resolveOne(ctx context.Context, dns resolver, a string) (addrs []string, err error) {
	if err := checkJoin(a); err != nil { // a line of join_file
		return nil, err
	}
	if !strings.HasPrefix(a, "_") {
		host, port, _ := net.SplitHostPort(a)
		n, _ := strconv.ParseUint(port, 10, 16)
		return resolveHost(ctx, dns, host, uint16(n))
	}
	_, records, err := dns.LookupSRV(ctx, "", "", a)
	for _, r := range records {
		if r.Port == 0 {
			continue
		}
		found, hostErr := resolveHost(ctx, dns, r.Target, r.Port)
		if hostErr != nil && err == nil {
			err = hostErr
		}
		addrs = append(addrs, found...)
	}
	return addrs, err
}

func resolveHost(ctx context.Context, dns resolver, host string, port uint16) (addrs []string, err error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []string{netip.AddrPortFrom(ip.Unmap(), port).String()}, nil
	}
	ips, err := dns.LookupNetIP(ctx, "ip", host)
	for _, ip := range ips {
		addrs = append(addrs, netip.AddrPortFrom(ip.Unmap(), port).String())
	}
	return addrs, err
}

// discover looks at join and join_file again and again.
func (g *Gossip) discover() {
	tick := time.NewTicker(g.cfg.DiscoverEvery)
	defer tick.Stop()
	for {
		addrs, leftOut := resolve(g.stopping, g.cfg, net.DefaultResolver, g.log, g.repeat)
		g.count.leftOut.Add(uint64(leftOut))
		if g.stopping.Err() == nil {
			g.seen.discovered(addrs)
		}
		select {
		case <-g.stopping.Done():
			return
		case <-tick.C:
		}
	}
}
