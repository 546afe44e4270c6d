package generator

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/gobwas/ws"
	"pgregory.net/rapid"
)

// Frames of another library, cut anywhere, are read as that library meant them.
func TestReadFrameAtEverySplit(t *testing.T) {
	for _, size := range []int{0, 1, 125, 126, 127, 300, 65535, 65536, 70000} {
		payload := bytes.Repeat([]byte{'x'}, size)
		data, err := ws.CompileFrame(ws.NewFrame(ws.OpBinary, size%2 == 0, payload))
		if err != nil {
			t.Fatal(err)
		}
		step := max(1, len(data)/997)
		for i := 0; i < len(data); i += step {
			if _, n, class := readFrame(data[:i], 1<<20); n != 0 || class != "" {
				t.Fatalf("size %d, first %d bytes: %d, %q", size, i, n, class)
			}
		}
		f, n, class := readFrame(append(data, 0x89), 1<<20)
		if n != len(data) || class != "" || f.opcode != opBinary || f.final != (size%2 == 0) || !bytes.Equal(f.payload, payload) {
			t.Fatalf("size %d: %d bytes, %q, %+v", size, n, class, f.opcode)
		}
	}
}

func TestReadFrameRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"reserved bit", []byte{0xc1, 0}, "protocol: reserved bit"},
		{"masked", []byte{0x81, 0x80, 1, 2, 3, 4}, "protocol: masked by the server"},
		{"too large", []byte{0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0}, "protocol: message too large"},
		{"length of 64 bits", []byte{0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, "protocol: message too large"},
	} {
		if _, _, class := readFrame(c.data, 1<<20); class != c.want {
			t.Errorf("%s: %q, want %q", c.name, class, c.want)
		}
	}
}

// takeFrame reads one frame of a size that tests send.
func takeFrame(r io.Reader) (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(r); err != nil {
		return f, err
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}

// What the generator writes, another library reads.
func TestAppendFrameIsReadByAnotherLibrary(t *testing.T) {
	l := &loop{masks: rand.Uint64() | 1}
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.OneOf(rapid.IntRange(0, 300), rapid.IntRange(65530, 65540)).Draw(t, "size")
		payload := newEchoPayload(size)
		data := l.appendFrame(nil, opBinary, payload)
		r := bytes.NewReader(data)
		f, err := takeFrame(r)
		if err != nil {
			t.Fatal(err)
		}
		if rest, _ := io.ReadAll(r); len(rest) != 0 || !f.Header.Masked || !f.Header.Fin || f.Header.OpCode != ws.OpBinary {
			t.Fatalf("header %+v, %d bytes too many", f.Header, len(rest))
		}
		if f = ws.UnmaskFrame(f); !bytes.Equal(f.Payload, payload) {
			t.Fatal("the payload is another one")
		}
	})
}

func TestEchoHead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		payload := newEchoPayload(rapid.IntRange(EchoBytesMin, 200).Draw(t, "size"))
		h := echoHead{
			connection: rapid.Uint32().Draw(t, "connection"), number: rapid.Uint32().Draw(t, "number"),
			intendedNS: rapid.Int64().Draw(t, "intended"), delayUS: rapid.Uint32().Draw(t, "delay"),
		}
		message := bytes.Clone(payload)
		h.put(message)
		if got, ok := readEcho(message, payload, h.connection); !ok || got != h {
			t.Fatalf("%+v became %+v, %v", h, got, ok)
		}
		if _, ok := readEcho(message, payload, h.connection+1); ok {
			t.Fatal("taken on the wrong connection")
		}
		if _, ok := readEcho(message[:len(message)-1], payload, h.connection); ok {
			t.Fatal("taken although cut")
		}
	})
}

// The promise of a few hundred bytes a connection stands on this.
func TestConnectionIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(conn{}); size > 72 {
		t.Fatalf("a connection has %d bytes", size)
	}
}

// Slots are handed out once, keep their place, and old references are recognised.
func TestSlotsAgainstAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s slots
		held := map[int32]*conn{}
		var old []ref
		for range rapid.IntRange(1, 2000).Draw(t, "steps") {
			if len(held) == 0 || rapid.IntRange(0, 2).Draw(t, "what") > 0 {
				c := s.take()
				if held[c.slot] != nil || c.state != stateFree {
					t.Fatalf("slot %d was handed out twice", c.slot)
				}
				c.state = stateOpen
				held[c.slot] = c
				continue
			}
			for slot, c := range held {
				if s.get(slot) != c {
					t.Fatalf("slot %d moved", slot)
				}
				old = append(old, c.ref())
				s.release(c)
				delete(held, slot)
				break
			}
		}
		for _, r := range old {
			if s.live(r) != nil {
				t.Fatalf("reference %+v outlived its connection", r)
			}
		}
		n := 0
		s.each(func(*conn) { n++ })
		if n != len(held) {
			t.Fatalf("each found %d of %d", n, len(held))
		}
	})
}

func TestDeadlinesComeInOrderAndOnce(t *testing.T) {
	var d deadlines
	const n = 5000
	for i := range n {
		d.push(&conn{slot: int32(i)}, int64(i))
	}
	if _, due := d.pop(-1); due {
		t.Fatal("popped before its time")
	}
	for i := range n {
		r, due := d.pop(n)
		if !due || r.slot != int32(i) {
			t.Fatalf("%d: %+v, %v", i, r, due)
		}
		d.push(&conn{}, n+1)
		if cap(d.queue) > 4*n {
			t.Fatal("the queue grows although it is emptied")
		}
	}
	if d.len() != n {
		t.Fatalf("%d are left", d.len())
	}
}
