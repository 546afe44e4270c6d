package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/roostpush/roost/session/wire"
)

// testAuthority signs certificates of nodes.
type testAuthority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newTestAuthority(t *testing.T, name string) *testAuthority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &testAuthority{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// issue writes cert.pem and key.pem of a node, and ca.pem with the trusted authorities,
// to dir. Each file is replaced as a whole, as whoever renews certificates does it.
func (a *testAuthority) issue(t *testing.T, dir, node string, trusted ...*testAuthority) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{node},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var authorities []byte
	for _, other := range trusted {
		authorities = append(authorities, other.pem...)
	}
	for name, text := range map[string][]byte{
		"cert.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		"key.pem":  pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}),
		"ca.pem":   authorities,
	} {
		part := filepath.Join(dir, "."+name)
		if err := os.WriteFile(part, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(part, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// tlsArgs are the settings of a node whose certificates are in dir.
func tlsArgs(dir string) []string {
	var args []string
	for setting, file := range map[string]string{"tls_cert": "cert.pem", "tls_key": "key.pem", "tls_ca": "ca.pem"} {
		args = append(args, "--set", "peer."+setting+"="+filepath.Join(dir, file))
	}
	return append(args, "--set", "peer.tls_names=true")
}

// get returns the text at a path of the internal listener.
func (p *process) get(path string) string {
	p.t.Helper()
	resp, err := http.Get("http://" + p.internal + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

// linksTo waits until the process is linked to so many nodes.
func (p *process) linksTo(count int) {
	p.t.Helper()
	eventually(p.t, fmt.Sprint("links to ", count, " nodes"), func() bool { return metricIn(p.t, p.get("/metrics"), "roost_peer_links") == float64(count) })
}

// push pushes to the device alice/phone and returns the answer.
func (p *process) push() string {
	p.t.Helper()
	resp, err := http.Post("http://"+p.internal+"/v1/messages", "application/json", strings.NewReader(`{"to":{"account":"alice","device":"phone"},"payload":1}`))
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

// connect connects the device alice/phone until the test ends.
func (p *process) connect() net.Conn {
	p.t.Helper()
	c, _, _, err := ws.Dial(p.t.Context(), "ws://"+p.public+"/ws?account=alice&device=phone")
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() })
	return c
}

// Three nodes that prove themselves to each other by certificates: a push crosses; a
// node of another authority is refused and both say why; so is who speaks no TLS; and
// certificates, and their authority, are changed while the nodes run.
func TestLinksWithTLS(t *testing.T) {
	t.Parallel()
	ours, theirs := newTestAuthority(t, "ours"), newTestAuthority(t, "theirs")
	dir := map[string]string{}
	for _, node := range []string{"n1", "n2", "n3", "n4"} {
		dir[node] = t.TempDir()
	}
	ours.issue(t, dir["n1"], "n1", ours)
	ours.issue(t, dir["n2"], "n2", ours)
	ours.issue(t, dir["n3"], "n3", ours)
	theirs.issue(t, dir["n4"], "n4", ours, theirs) // it would take ours; ours do not take it

	n1 := startProcess(t, 1024, clusterArgs("n1", tlsArgs(dir["n1"])...)...)
	join := "gossip.join=" + n1.gossipAddr()
	n2 := startProcess(t, 1024, clusterArgs("n2", append(tlsArgs(dir["n2"]), "--set", join)...)...)
	n3 := startProcess(t, 1024, clusterArgs("n3", append(tlsArgs(dir["n3"]), "--set", join)...)...)
	for _, n := range []*process{n1, n2, n3} {
		n.linksTo(2)
	}
	n1.connect()
	eventually(t, "a push from n3 is written by n1", func() bool { return strings.Contains(n3.push(), `"outcome":"written","node":"n1"`) })

	// Another authority, and no TLS at all. n1 dials n4, the greater id, and finds out
	// first; n0 dials all.
	stranger := startProcess(t, 1024, clusterArgs("n4", append(tlsArgs(dir["n4"]), "--set", join)...)...)
	eventually(t, "n1 says that it does not trust n4", func() bool { return n1.log.has("a node cannot be linked", `"node":"n4"`, "unknown authority") })
	eventually(t, "n4 says that it is not trusted", func() bool { return stranger.log.has("a node was not linked", "bad certificate") })
	caller := t.TempDir()
	theirs.issue(t, caller, "n0", ours, theirs)
	n0 := startProcess(t, 1024, clusterArgs("n0", append(tlsArgs(caller), "--set", join)...)...)
	eventually(t, "n0 says that it is not trusted", func() bool { return n0.log.has("a node cannot be linked", "unknown certificate authority") })
	eventually(t, "n1 says that it does not trust n0", func() bool { return n1.log.has("a node was not linked", `"reason":"certificate"`, "unknown authority") })
	hello := wire.AppendLinkFrame(nil, wire.LinkTypeHello, make([]byte, 100))
	c, err := net.Dial("tcp", n1.linksAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(hello); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil || !strings.Contains(string(answer), "what came is not TLS, and this node encrypts its links") {
		t.Errorf("in the clear n1 answers %q, %v", answer, err)
	}
	eventually(t, "n1 says so", func() bool { return n1.log.has("a node was not linked", "what came is not TLS") })
	if n := metricIn(t, n1.get("/metrics"), `roost_peer_refused_total{reason="bad_frame"}`); n != 1 {
		t.Errorf("it is counted %v times", n)
	}
	n1.linksTo(2)

	// A new authority, in the order that cuts nobody off: trust both, then new
	// certificates. The nodes run on; n3 comes back with what is new alone.
	for _, node := range []string{"n1", "n2"} {
		theirs.issue(t, dir[node], node, ours, theirs)
	}
	if err := n3.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-n3.ended
	theirs.issue(t, dir["n3"], "n3", theirs)
	n3 = startProcess(t, 1024, clusterArgs("n3", append(tlsArgs(dir["n3"]), "--set", join)...)...)
	eventually(t, "n3 reaches n1 with new certificates", func() bool { return strings.Contains(n3.push(), `"outcome":"written","node":"n1"`) })
}
