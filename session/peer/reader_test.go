package peer

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"

	"pgregory.net/rapid"

	"github.com/roostpush/roost/session/wire"
)

// TestInbox takes frames of all sizes off a stream that comes in all pieces: none is
// lost or changed, and the buffer is no larger than a frame needs.
func TestInbox(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := inbox{size: rapid.IntRange(8, 200).Draw(t, "buffer"), sizeMax: 1000}
		var text []byte
		var want [][]byte
		for range rapid.IntRange(1, 30).Draw(t, "frames") {
			body := bytes.Repeat([]byte{byte(len(want))}, rapid.OneOf(rapid.IntRange(0, 20), rapid.IntRange(0, 995)).Draw(t, "body"))
			want = append(want, body)
			text = wire.AppendLinkFrame(text, wire.LinkTypeDelta, body)
		}
		c := &tape{text: text, piece: rapid.IntRange(1, 300).Draw(t, "piece")}
		for i := 0; ; {
			typ, body, err := in.next()
			if err != nil {
				t.Fatal(err)
			}
			if body != nil {
				if typ != wire.LinkTypeDelta || !bytes.Equal(body, want[i]) {
					t.Fatalf("frame %d is %v %x, want %x", i, typ, body, want[i])
				}
				i++
				continue
			}
			if len(in.buf) > max(in.size, in.sizeMax) {
				t.Fatalf("the buffer is %d bytes", len(in.buf))
			}
			if _, err := in.fill(c); errors.Is(err, io.EOF) {
				if i != len(want) || len(in.buf) != in.size {
					t.Fatalf("%d of %d frames, a buffer of %d bytes", i, len(want), len(in.buf))
				}
				return
			}
		}
	})
}

// tired is a listener that fails as one does whose process has no descriptors left.
type tired struct {
	net.Listener
	failures int
}

func (l *tired) Accept() (net.Conn, error) {
	if l.failures--; l.failures >= 0 {
		return nil, errors.New("accept: too many open files")
	}
	return l.Listener.Accept()
}

func TestServeSurvivesFailures(t *testing.T) {
	b := start(t, "b", 1, func(_ *node, cfg *Config, _ *Identity, _ *Handlers) { cfg.AcceptRetryPause = cfg.Tick })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- b.Serve(&tired{ln, 3}) }()
	b.addr = ln.Addr().String()
	fake(t, b, "a", 1, 1)
	b.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if err := b.Serve(ln); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed pool serves: %v", err)
	}
}
