package wire

// member is a member's name that some frame of the contract has.
type member uint8

const (
	memberUnknown member = iota
	memberType
	memberID
	memberTo
	memberPayload
	memberText
	memberBase64
	memberTTLMS
	memberWait
	memberIDs
	memberToken
	memberTopics
	memberTopic
	memberPresence
	memberSince
	memberAccount
	memberDevice
	memberDevices
	memberAll
	memberPriority
	memberTimeoutMS
	memberCollapse
	memberAcks
	memberSession
	memberNode
	memberPingMS
	memberMaxPayload
	memberExpiresMS
	memberMissed
	memberFrom
	memberSentMS
	memberAck
	memberRef
	memberStatus
	memberState
	memberAtMS
	memberReason
	memberReconnectMS
	memberCode
	memberDetail
	memberTraceparent

	memberCount
)

var names = [memberCount]string{
	"", "type", "id", "to", "payload", "text", "base64", "ttl_ms", "wait", "ids",
	"token", "topics", "topic", "presence", "since", "account", "device", "devices",
	"all", "priority", "timeout_ms", "collapse", "acks", "session", "node", "ping_ms",
	"max_payload", "expires_ms", "missed", "from", "sent_ms", "ack", "ref", "status",
	"state", "at_ms", "reason", "reconnect_ms", "code", "detail", "traceparent",
}

// memberNamed returns the member of that name. The compiler turns the switch into
// a search by length and content, which neither hashes nor allocates.
func memberNamed(name []byte) member {
	switch string(name) {
	case "type":
		return memberType
	case "id":
		return memberID
	case "to":
		return memberTo
	case "payload":
		return memberPayload
	case "text":
		return memberText
	case "base64":
		return memberBase64
	case "ttl_ms":
		return memberTTLMS
	case "wait":
		return memberWait
	case "ids":
		return memberIDs
	case "token":
		return memberToken
	case "topics":
		return memberTopics
	case "topic":
		return memberTopic
	case "presence":
		return memberPresence
	case "since":
		return memberSince
	case "account":
		return memberAccount
	case "device":
		return memberDevice
	case "devices":
		return memberDevices
	case "all":
		return memberAll
	case "priority":
		return memberPriority
	case "timeout_ms":
		return memberTimeoutMS
	case "collapse":
		return memberCollapse
	case "acks":
		return memberAcks
	case "session":
		return memberSession
	case "node":
		return memberNode
	case "ping_ms":
		return memberPingMS
	case "max_payload":
		return memberMaxPayload
	case "expires_ms":
		return memberExpiresMS
	case "missed":
		return memberMissed
	case "from":
		return memberFrom
	case "sent_ms":
		return memberSentMS
	case "ack":
		return memberAck
	case "ref":
		return memberRef
	case "status":
		return memberStatus
	case "state":
		return memberState
	case "at_ms":
		return memberAtMS
	case "reason":
		return memberReason
	case "reconnect_ms":
		return memberReconnectMS
	case "code":
		return memberCode
	case "detail":
		return memberDetail
	case "traceparent":
		return memberTraceparent
	}
	return memberUnknown
}
