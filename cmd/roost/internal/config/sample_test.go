package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sample has a field of every supported type, so that the machinery is tested
// apart from whatever the packages' Configs happen to hold.
type sample struct {
	Name    string       `yaml:"name" doc:"a text"`
	Netpoll sampleInner  `yaml:"netpoll" doc:"a section"`
	Auth    sampleSecret `yaml:"auth" doc:"another section"`
}

type sampleInner struct {
	PingInterval time.Duration `yaml:"ping_interval" doc:"a duration"`
	QueueBytes   int           `yaml:"queue_bytes" doc:"a size"`
	ReadBytesMax int64         `yaml:"read_bytes_max" doc:"a size with a qualifier"`
	Loops        int           `yaml:"loops" doc:"an int"`
	Port         uint16        `yaml:"port" doc:"a small int"`
	Seed         uint64        `yaml:"seed" doc:"a large int"`
	Ratio        float64       `yaml:"ratio" doc:"a float"`
	Enabled      bool          `yaml:"enabled" doc:"a bool"`
	Origins      []string      `yaml:"origins" doc:"a list"`
	Ignored      func()        `yaml:"-"`
	hidden       int
}

type sampleSecret struct {
	Token      string   `yaml:"token" doc:"a secret by its name"`
	Pairs      []string `yaml:"pairs" doc:"a secret by its tag" secret:"true"`
	SecretFile string   `yaml:"secret_file" doc:"no secret"`
}

func (c sampleInner) Validate() error {
	var errs []error
	if c.PingInterval <= 0 {
		errs = append(errs, fmt.Errorf("netpoll: ping_interval %v: must be positive", c.PingInterval))
	}
	if c.Loops <= 0 {
		errs = append(errs, errors.New("Loops must be at least 1"))
	}
	if c.Ratio > 1 {
		errs = append(errs, errors.New("the ratio is odd"))
	}
	return errors.Join(errs...)
}

func newSample() *sample {
	return &sample{Name: "n", Netpoll: sampleInner{PingInterval: 30 * time.Second, Loops: 2, hidden: 1}}
}

// write puts text into a file called roost.yaml and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "roost.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
