package session

// Step is where a message was on its way. The set is closed.
type Step uint8

// The steps.
const (
	StepAccepted  Step = 1 + iota // this node made it a message
	StepAttempted                 // a kept message was tried, by this node that keeps it
	StepTaken                     // another node (Peer) handed it over
	StepStored                    // it is on this node's disk, synced
	StepKept                      // another node (Peer) has it on its disk
	StepRefused                   // it could not be kept, and there is no promise
	StepSent                      // handed to the device's connection
	StepForwarded                 // handed to the link to another node (Peer)
	StepAnswered                  // another node (Peer) said what became of it for its devices
	StepSought                    // its device has just left somewhere: the table is asked again
	StepMoved                     // its device had a newer connection
	StepAckedHere                 // the device's ack came to this node, for the keeper (Peer)
	StepBecame                    // the outcome for a device, or for Devices of them

	steps // count
)

var stepNames = [steps]string{
	"", "accepted", "attempted", "taken", "stored", "kept", "refused", "sent", "forwarded",
	"answered", "sought", "moved", "ack_passed_on", "became",
}

// String returns the word that people and programs are shown.
func (s Step) String() string {
	if s >= steps {
		return "invalid"
	}
	return stepNames[s]
}

// Event is one step of a message on a node. Its strings are borrowed by whoever is handed
// an Event, unless the receiver says that it keeps them.
type Event struct {
	ID      ID
	Step    Step
	Outcome Outcome // of StepBecame, StepRefused and, of one device, StepAnswered
	Traced  bool    // the message came with a traceparent
	Trace   string  // that, at the steps where it is at hand; else empty
	Devices uint32  // how many devices it is about; 0: Device, or nobody knows yet
	Device  string  // empty: the step is about the message, or about many devices
	Peer    string  // the other node; empty: there is none
}
