package route

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/siphash24.txt anew")

// sum is SipHash-2-4 of any bytes, as its authors define it, over the rounds that
// Address uses.
func sum(k Key, message []byte) uint64 {
	s := k.start()
	n := uint64(len(message))
	for ; len(message) >= 8; message = message[8:] {
		s.word(binary.LittleEndian.Uint64(message))
	}
	return s.finishWith(n<<56 | tail(string(message)))
}

// TestSipHash holds the function against the vectors of its authors: key 00 01 .. 0f,
// messages 00 01 .. of each length below 64 (github.com/veorq/SipHash, vectors.h; the
// one of 15 bytes is in appendix A of the paper).
func TestSipHash(t *testing.T) {
	k, message := Key{}, make([]byte, 64)
	for i := range message {
		message[i] = byte(i)
	}
	copy(k[:], message)
	if got := sum(k, message[:15]); got != 0xa129ca6149be45e5 {
		t.Fatalf("the paper's vector: %x", got)
	}
	var lines bytes.Buffer
	for n := range message {
		var digest [8]byte
		binary.LittleEndian.PutUint64(digest[:], sum(k, message[:n]))
		fmt.Fprintf(&lines, "%s\n", hex.EncodeToString(digest[:]))
	}
	const file = "testdata/siphash24.txt"
	if *update {
		if err := os.WriteFile(file, lines.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(lines.Bytes(), want) {
		t.Errorf("got\n%swant\n%s", lines.Bytes(), want)
	}
}

// TestAddressIsTheMessage holds Address against the message that its comment
// describes: nodes of two versions must agree.
func TestAddressIsTheMessage(t *testing.T) {
	k := Key{0x4e, 1, 2, 3}
	padded := func(message []byte, s string) []byte {
		message = binary.LittleEndian.AppendUint64(message, uint64(len(s)))
		return append(message, s+strings.Repeat("\x00", (8-len(s)%8)%8)...)
	}
	for _, account := range []string{"", "a", "exactly8", "account-12345678", strings.Repeat("ä", 64)} {
		for _, device := range []string{"", "tv", "livingroom-tv-15", strings.Repeat("x", 128)} {
			own := sum(k, binary.LittleEndian.AppendUint64(padded(nil, account), accountDomain))
			address := sum(k, padded(padded(nil, account), device))
			if gotAddress, gotAccount := k.Address(account, device); gotAddress != address || gotAccount != own {
				t.Errorf("%q %q: %x %x, want %x %x", account, device, gotAddress, gotAccount, address, own)
			}
		}
	}
}

// TestAddressGolden must never change: a table's hashes are a cluster's.
func TestAddressGolden(t *testing.T) {
	k := Key([]byte("0123456789abcdef"))
	address, account := k.Address("alice", "phone")
	got := fmt.Sprintf("%016x %016x %x", address, account, k.Fingerprint())
	if want := "b2ac75b7e4026fea b9c289f78202178d 964589a5b7e57a1a"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestAddressTellsNamesApart(t *testing.T) {
	k := Key{7}
	seen := map[uint64]string{}
	for _, names := range [][2]string{{"a", "b"}, {"a/b", ""}, {"", "a/b"}, {"ab", ""}, {"", "ab"}, {"a", "b\x00"}, {"a\x00", "b"}, {"b", "a"}, {"", ""}} {
		address, account := k.Address(names[0], names[1])
		for _, hash := range []uint64{address, account} {
			name := fmt.Sprintf("account %q", names[0])
			if hash == address {
				name = fmt.Sprintf("address %q", names)
			}
			if other, ok := seen[hash]; ok && other != name {
				t.Errorf("%s and %s have one hash", name, other)
			}
			seen[hash] = name
		}
	}
	other := Key{8}
	if k.Fingerprint() == other.Fingerprint() {
		t.Error("two keys have one fingerprint")
	}
	if a, _ := k.Address("a", "b"); a == func() uint64 { b, _ := other.Address("a", "b"); return b }() {
		t.Error("the key changes nothing")
	}
}

// FuzzAddress holds that no two pairs of names come out the same, whatever is in
// them, and that the account's hash is the account's alone.
func FuzzAddress(f *testing.F) {
	f.Add("a", "b", "a/b", "")
	f.Add("alice", "phone", "alice", "tv")
	f.Fuzz(func(t *testing.T, a1, d1, a2, d2 string) {
		k := Key{1}
		address1, account1 := k.Address(a1, d1)
		address2, account2 := k.Address(a2, d2)
		if (account1 == account2) != (a1 == a2) {
			t.Errorf("accounts %q and %q: %x, %x", a1, a2, account1, account2)
		}
		if (address1 == address2) != (a1 == a2 && d1 == d2) {
			t.Errorf("addresses %q %q and %q %q: %x, %x", a1, d1, a2, d2, address1, address2)
		}
	})
}
