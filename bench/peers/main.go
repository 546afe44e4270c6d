package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
)

// options are what a server is started with.
type options struct {
	listen  string
	control string // writeloop, kafka, kafkapoll: where orders come in
	out     io.Writer
}

// ready prints the line that tells callers the address, as roost-bench echo-server does.
func (o options) ready(name string, addr net.Addr) { fmt.Fprintf(o.out, "%s on %s\n", name, addr) }

// peer is one server; serve returns when it cannot go on.
type peer struct {
	name, about string
	serve       func(options) error
}

var peers = []peer{
	{"gws", "github.com/lxzan/gws, a goroutine for each connection", serveGWS},
	{"nbio", "github.com/lesismal/nbio, its non-blocking mode", serveNbio},
	{"gorilla", "github.com/gorilla/websocket on net/http", serveGorilla},
	{"coder", "github.com/coder/websocket on net/http", serveCoder},
	{"gobwas", "github.com/gobwas/ws, a goroutine for each connection", serveGobwas},
	{"gnet", "github.com/panjf2000/gnet/v2, its engine, frames by hand, gobwas/ws upgrade", serveGnet},
	{"poller", "floor: gnet's poller alone, one struct a connection, no features", servePoller},
	{"raw", "the cheapest we know: poller with recvfrom(2) and sendto(2) past Go's scheduler", serveRaw},
	{"upgrade", "floor of upgrades: the same server as poller, gobwas/ws on a poller", serveUpgrade},
	{"relay", "floor of relays: as much of Roost's protocol as roost-bench relay speaks, a read and two writes a message", serveRelay},
	{"pinger", "floor of idle devices: a ping to each connection every 30 s, a write and a read", servePinger},
	{"writeloop", "floor of fan-out: upgrades, and on POST /write a bare loop of write(2)", serveWriteLoop},
	{"kafka", "no server: a Kafka broker in memory, and on POST /produce records for devices", serveKafka},
	{"kafkapoll", "floor of records from Kafka: on POST /poll fetches and decodes them, and does nothing with them", serveKafkaPoll},
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	o := options{out: out}
	if len(args) == 0 || args[0] == "--help" || args[0] == "-h" {
		usage(out)
		return nil
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.StringVar(&o.listen, "listen", "127.0.0.1:9000", "where to listen; port 0 lets the kernel choose")
	flags.StringVar(&o.control, "control", "127.0.0.1:0", "writeloop, kafka and kafkapoll: where orders are taken")
	flags.SetOutput(io.Discard) // usage and the error say it
	if err := flags.Parse(args[1:]); errors.Is(err, flag.ErrHelp) {
		usage(out)
		return nil
	} else if err != nil {
		return fmt.Errorf("%w; peers --help shows what there is", err)
	}
	for _, p := range peers {
		if p.name == args[0] {
			return p.serve(o)
		}
	}
	usage(out)
	return fmt.Errorf("there is no server %q", args[0])
}

func usage(out io.Writer) {
	fmt.Fprint(out, "peers NAME [--listen HOST:PORT] [--control HOST:PORT]\n\nServers at any path, most of them echo; they listen on 127.0.0.1:9000 unless --listen says otherwise (port 0: the kernel\nchooses) and print the address in use. --control is where writeloop, kafka and kafkapoll take orders. NAME is one of\n\n")
	for _, p := range peers {
		fmt.Fprintf(out, "  %-10s %s\n", p.name, p.about)
	}
}
