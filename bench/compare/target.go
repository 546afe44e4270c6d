package compare

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Target is one side of the comparison: a server that runs already, or the command
// that starts one.
type Target struct {
	Name    string   `json:"name"`
	URL     string   `json:"url,omitempty"`     // of a running server
	PID     int      `json:"pid,omitempty"`     // of a running server; 0: its CPU and memory stay unknown
	Command []string `json:"command,omitempty"` // with {listen} for host:port, and perhaps {temp} for a folder of its own
}

// The places in a command.
const (
	placeListen = "{listen}" // a free host:port of this machine
	placeTemp   = "{temp}"   // a folder that is removed at the end
)

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// ParseTarget reads name=ws://host:port/path pid=4711, or name=program arguments with
// {listen} among them. Words are separated by spaces; there is no quoting.
func ParseTarget(text string) (Target, error) {
	name, rest, ok := strings.Cut(text, "=")
	words := strings.Fields(rest)
	if !ok || len(words) == 0 || !nameForm.MatchString(name) {
		return Target{}, fmt.Errorf("target %q is neither 'NAME=ws://host:port/path pid=N' nor 'NAME=program arguments {listen}'", text)
	}
	t := Target{Name: name}
	if strings.Contains(words[0], "://") {
		t.URL = words[0]
		return t, t.readPID(words[1:])
	}
	if t.Command = words; !strings.Contains(rest, placeListen) {
		return Target{}, fmt.Errorf("target %s: its command does not say where the server shall listen; write %s in the place of host:port", name, placeListen)
	}
	return t, nil
}

func (t *Target) readPID(words []string) error {
	for _, word := range words {
		value, ok := strings.CutPrefix(word, "pid=")
		pid, err := strconv.Atoi(value)
		if !ok || err != nil || pid < 1 {
			return fmt.Errorf("target %s: %q is not pid=N", t.Name, word)
		}
		t.PID = pid
	}
	return nil
}
