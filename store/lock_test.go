package store

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func init() { children["holder"] = holderChild }

func holderChild() {
	s, err := Open(testConfig(os.Getenv("DIR")), "n1", quiet, time.Now)
	fmt.Println("opened:", err)
	if err == nil {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = s.Close()
	}
}

func TestDirectoryInUseNamesTheProcess(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=holder", "DIR="+dir)
	stdin, _ := cmd.StdinPipe()
	stdout, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, _ := bufio.NewReader(stdout).ReadString('\n'); line != "opened: <nil>\n" {
		t.Errorf("child: %s", line)
	}
	_, err := Open(testConfig(dir), "n1", quiet, time.Now)
	if want := fmt.Sprintf("%s is in use by process %d", dir, cmd.Process.Pid); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v lacks %q", err, want)
	}
	_ = stdin.Close()
	_ = cmd.Wait()
	s, err := Open(testConfig(dir), "n1", quiet, time.Now)
	if err != nil {
		t.Fatalf("after the other process ended: %v", err)
	}
	_ = s.Close()
}

func TestDirectoryThatMayNotBeWritten(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("NOT TESTED HERE: starting a process as another user needs root")
	}
	dir := t.TempDir() // its parents are closed to others, as is a copy of the binary in it
	exe := filepath.Join(dir, "exe")
	data, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	data2 := filepath.Join(dir, "data")
	for _, err := range []error{os.WriteFile(exe, data, 0o755), os.Mkdir(data2, 0o755), os.Chmod(dir, 0o755), os.Chmod(filepath.Dir(dir), 0o755)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(exe)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), childEnv+"=holder", "DIR="+data2)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if want := data2 + " may not be written by user 65534"; err != nil || !strings.Contains(string(out), want) {
		t.Errorf("%v: %q lacks %q", err, out, want)
	}
}
