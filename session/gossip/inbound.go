package gossip

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/hashicorp/memberlist"
)

// packetBytesMax is the largest datagram there is.
const packetBytesMax = 64 << 10

// failurePause is the time before accept or receive is tried again after it failed, as
// it does when descriptors run out.
const failurePause = 50 * time.Millisecond

// receive takes packets from the socket. What does not carry this cluster's name goes
// no further.
func (t *transport) receive() {
	buffer := make([]byte, packetBytesMax)
	for {
		n, from, err := t.socket.ReadFromUDPAddrPort(buffer)
		at := time.Now()
		if err != nil {
			if t.life.Err() != nil {
				return
			}
			if t.repeat.due("receive") {
				t.log.Warn("gossip packets cannot be received", "reason", err)
			}
			t.pause(failurePause)
			continue
		}
		t.count.packetsIn.Add(1)
		t.count.bytesIn.Add(uint64(n))
		_, label, err := memberlist.RemoveLabelHeaderFromPacket(buffer[:n])
		if err != nil || label != t.cfg.Cluster {
			t.foreign(label, from.String())
			continue
		}
		packet := &memberlist.Packet{Buf: append([]byte(nil), buffer[:n]...), From: net.UDPAddrFromAddrPort(from), Timestamp: at}
		select {
		case t.packets <- packet:
		default:
			t.count.packetsDropped.Add(1)
		}
	}
}

// foreign counts a packet that is not for us, and says so if it came from another
// cluster. Nobody is told back: the stream that a join begins with is.
func (t *transport) foreign(label, from string) {
	t.count.packetsForeign.Add(1)
	if !isClusterName(label) {
		return
	}
	t.count.refused[RefusedCluster].Add(1)
	if t.repeat.due("packet of " + label) {
		t.log.Warn("gossip packet of another cluster dropped", "from", from, "theirs", label, "ours", t.cfg.Cluster)
	}
}

func (t *transport) accept() {
	for {
		raw, err := t.listener.AcceptTCP()
		if err != nil {
			if t.life.Err() != nil {
				return
			}
			if t.repeat.due("accept") {
				t.log.Warn("gossip connections cannot be accepted", "reason", err)
			}
			t.pause(failurePause)
			continue
		}
		t.count.streams.Add(1)
		if conn := t.track(raw, true); conn != nil {
			t.running.Go(func() { t.admit(conn) })
		}
	}
}

// admit hears a caller's hello and, if it asked for that, gives the connection to
// memberlist, which closes it.
func (t *transport) admit(conn *stream) {
	_ = conn.SetDeadline(time.Now().Add(t.cfg.HelloTimeout))
	why, err := t.hello.hear(conn)
	if err != nil {
		if errors.Is(err, errHello) || errors.Is(err, io.ErrUnexpectedEOF) {
			t.count.streamsGarbage.Add(1)
		}
		conn.Close()
		return
	}
	if why != purposeStream {
		conn.Close()
		return
	}
	_ = conn.SetDeadline(time.Time{})
	select {
	case t.streams <- conn:
	case <-t.life.Done():
		conn.Close()
	}
}

// stream is a connection that is counted, limited and known to its transport.
type stream struct {
	net.Conn
	owner    *transport
	incoming bool
	unread   int // bytes that may still be read; only the reader touches it
}

var errStreamBytes = errors.New("gossip: more than stream_bytes_max were sent")

// track makes a connection known, or closes it: the transport is, or holds too many.
func (t *transport) track(raw net.Conn, incoming bool) *stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conns == nil {
		raw.Close()
		return nil
	}
	if incoming && t.calls >= t.cfg.StreamsMax {
		t.count.streamsDropped.Add(1)
		raw.Close()
		return nil
	}
	conn := &stream{Conn: raw, owner: t, incoming: incoming, unread: t.cfg.StreamBytesMax}
	t.conns[conn] = struct{}{}
	if incoming {
		t.calls++
	}
	return conn
}

func (s *stream) Read(b []byte) (int, error) {
	if s.unread <= 0 {
		return 0, errStreamBytes
	}
	n, err := s.Conn.Read(b[:min(len(b), s.unread)])
	s.unread -= n
	s.owner.count.bytesIn.Add(uint64(n))
	return n, err
}

func (s *stream) Write(b []byte) (int, error) {
	n, err := s.Conn.Write(b)
	s.owner.count.bytesOut.Add(uint64(n))
	return n, err
}

func (s *stream) Close() error {
	s.owner.mu.Lock()
	if _, known := s.owner.conns[s]; known {
		delete(s.owner.conns, s)
		if s.incoming {
			s.owner.calls--
		}
	}
	s.owner.mu.Unlock()
	return s.Conn.Close()
}
