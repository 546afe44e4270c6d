package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/roostpush/roost/bench/report"
)

// What the script and this agree on. The results go out as a tar archive on a serial
// port of their own, where no message of the kernel can get into them; a machine that
// died leaves an archive without its last file, vmExitFile.
const (
	vmUp        = "vm: up"     // the line that says that the machine has booted
	vmExitFile  = "exit-code"  // density's, in decimal
	vmArguments = "/arguments" // of density, one a line
	vmLeft      = "/left"      // density's exit code, once all results are there
	vmResults   = "/results"   // becomes the archive
	vmOutPort   = "/dev/ttyS1" // the archive's way out
	vmDisk      = "/dev/vda"   // ext4, for the data directory
	vmData      = "/data"      // where it is mounted
	vmModules   = "/modules/*" // loaded in the order of their names
	vmPrograms  = "/bin/"      // roost and roost-bench
	vmDiskWait  = 30 * time.Second
	vmFilesMax  = 1 << 22 // descriptors a process may open there
	vmTextEnd   = ".txt"
	vmTextStart = "density"
)

// vmSysctls let one machine hold both ends of millions of connections.
var vmSysctls = [][2]string{
	{"fs/nr_open", fmt.Sprint(vmFilesMax)},
	{"fs/file-max", fmt.Sprint(4 * vmFilesMax)},
	{"fs/epoll/max_user_watches", fmt.Sprint(4 * vmFilesMax)},
	{"net/ipv4/ip_local_port_range", "1024 65535"}, // ports of each source address
	{"net/core/somaxconn", "65535"},
	// Packets on their way over loopback. A processor that is slow to take them would drop
	// the 1,001st, and retransmissions of many sockets come in bursts that are dropped too.
	{"net/core/netdev_max_backlog", "1000000"},
	{"net/ipv4/tcp_max_syn_backlog", "65535"},
	{"net/ipv4/tcp_mem", "1048576 2097152 4194304"}, // pages: queued data is never the limit
	{"net/ipv4/tcp_max_orphans", "1048576"},         // the end of the run resets everything at once
	{"vm/overcommit_memory", "1"},
	{"vm/panic_on_oom", "0"}, // the kernel then says whom it killed
}

// vmInit sets the machine up, in this order: file systems, disk, sysctls, loopback.
func vmInit(ctx context.Context, o output) error {
	if os.Getpid() != 1 {
		return errors.New("vm-init is process 1 of a virtual machine; run scripts/density-vm")
	}
	code := report.ExitUsage
	err := vmSetUp(o.err)
	if err == nil {
		code, err = vmDensity(ctx, o.err)
	}
	if err != nil {
		fmt.Fprintln(o.err, "vm:", err)
	}
	if err := vmHandOver(code); err != nil {
		fmt.Fprintln(o.err, "vm: the results cannot be handed over:", err)
	}
	fmt.Fprintf(o.err, "vm: off, exit code %d\n", code)
	unix.Sync()
	return unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

func vmSetUp(log io.Writer) error {
	for _, m := range []struct{ what, where, kind string }{
		{"proc", "/proc", "proc"}, {"sysfs", "/sys", "sysfs"}, {"devtmpfs", "/dev", "devtmpfs"}, {"tmpfs", "/tmp", "tmpfs"},
	} {
		if err := os.MkdirAll(m.where, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.what, m.where, m.kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.where, err)
		}
	}
	fmt.Fprintln(log, vmUp)
	if err := vmMountDisk(log); err != nil {
		return err
	}
	for _, s := range vmSysctls {
		if err := os.WriteFile("/proc/sys/"+s[0], []byte(s[1]), 0o644); err != nil {
			fmt.Fprintln(log, "vm: sysctl:", err) // the run tells whether it matters
		}
	}
	files := unix.Rlimit{Cur: vmFilesMax, Max: vmFilesMax}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return fmt.Errorf("allow %d descriptors: %w", vmFilesMax, err)
	}
	if err := vmLoopback(); err != nil {
		return fmt.Errorf("bring lo up: %w", err)
	}
	clock, _ := os.ReadFile("/sys/devices/system/clocksource/clocksource0/current_clocksource")
	fmt.Fprintf(log, "vm: set up; clock %s", clock)
	return nil
}

// vmLoadModules loads what the disk needs. Which module needs which changes between
// kernels, so those that miss another are tried again after it.
func vmLoadModules() (loaded int, err error) {
	waiting, _ := filepath.Glob(vmModules) // the pattern is good
	for len(waiting) > 0 {
		var again []string
		for _, name := range waiting {
			problem := loadModule(name)
			switch {
			case problem == nil:
				loaded++
			case errors.Is(problem, unix.ENOENT): // an unknown symbol
				again, err = append(again, name), fmt.Errorf("load %s: %w", name, problem)
			default:
				return loaded, fmt.Errorf("load %s: %w", name, problem)
			}
		}
		if len(again) == len(waiting) {
			return loaded, err
		}
		waiting = again
	}
	return loaded, nil
}

func loadModule(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

// vmMountDisk mounts the disk, whose driver is a module.
func vmMountDisk(log io.Writer) error {
	modules, err := vmLoadModules()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(vmData, 0o755); err != nil {
		return err
	}
	// The kernel finds the disk on a thread of its own and tells nobody who asks here.
	for end := time.Now().Add(vmDiskWait); ; time.Sleep(50 * time.Millisecond) {
		err := unix.Mount(vmDisk, vmData, "ext4", unix.MS_NOATIME, "")
		if err == nil {
			fmt.Fprintf(log, "vm: %d modules loaded, disk mounted\n", modules)
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("mount the disk %s: %w", vmDisk, err)
		}
	}
}

// vmLoopback brings lo up, which gives it 127.0.0.1/8.
func vmLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// vmDensity runs density as a process of its own, which may run out of memory where
// process 1 must not. Its table goes to a file, its progress to the console.
func vmDensity(ctx context.Context, log io.Writer) (code int, err error) {
	if err := os.MkdirAll(vmResults, 0o755); err != nil {
		return report.ExitUsage, err
	}
	table, err := os.Create(filepath.Join(vmResults, vmTextStart+vmTextEnd))
	if err != nil {
		return report.ExitUsage, err
	}
	defer table.Close()
	text, err := os.ReadFile(vmArguments)
	if err != nil {
		return report.ExitUsage, err
	}
	args := []string{"density", "--roost", vmPrograms + "roost", "--results", vmResults, "--data", vmData, "--leave", vmLeft}
	for line := range strings.Lines(string(text)) {
		args = append(args, strings.TrimSuffix(line, "\n"))
	}
	run := exec.CommandContext(ctx, vmPrograms+"roost-bench", args...)
	run.Stdout, run.Stderr = table, struct{ io.Writer }{log} // a pipe: lines, where the console would be a terminal
	if err := run.Start(); err != nil {
		return report.ExitUsage, err
	}
	ended := make(chan error, 1)
	go func() { ended <- run.Wait() }()
	for {
		select {
		case <-ended:
			if code = run.ProcessState.ExitCode(); code < 0 { // a signal: the kernel ran out of memory, probably
				return report.ExitEarly, fmt.Errorf("density ended: %s", run.ProcessState)
			}
			return code, nil
		case <-time.After(time.Second):
			// Its end closes a million sockets, which takes minutes here and tells nothing.
			if text, err := os.ReadFile(vmLeft); err == nil && strings.HasSuffix(string(text), "\n") {
				return strconv.Atoi(strings.TrimSpace(string(text)))
			}
		}
	}
}

// vmHandOver writes everything in the results' folder to the serial port.
func vmHandOver(code int) error {
	port, err := os.OpenFile(vmOutPort, os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	defer port.Close()
	if err := rawPort(int(port.Fd())); err != nil {
		return err
	}
	archive := tar.NewWriter(port)
	files, _ := filepath.Glob(vmResults + "/*")
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if err := addFile(archive, filepath.Base(name), text); err != nil {
			return err
		}
	}
	if err := addFile(archive, vmExitFile, fmt.Appendln(nil, code)); err != nil {
		return err
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return unix.IoctlSetInt(int(port.Fd()), unix.TCSBRK, 1) // tcdrain(3): until the last byte is out
}

func addFile(archive *tar.Writer, name string, text []byte) error {
	if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), Format: tar.FormatUSTAR}); err != nil {
		return err
	}
	_, err := archive.Write(text)
	return err
}

// rawPort keeps the terminal from rewriting bytes, as cfmakeraw(3) does, and takes the
// brake off: the emulated port is as fast as it is told to be.
func rawPort(fd int) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B115200
	return unix.IoctlSetTermios(fd, unix.TCSETS, t)
}
