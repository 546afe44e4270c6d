package api

// The stable codes of problem answers and of error lines in a stream. A push whose
// JSON is malformed carries package wire's code instead.
const (
	codeNotFound         = "not_found"                 // 404: no such path
	codeMethodNotAllowed = "method_not_allowed"        // 405
	codeUnauthorized     = "unauthorized"              // 401: a service token is missing or wrong
	codeCrossOrigin      = "cross_origin"              // 403: a web page of another origin is asking
	codeHostNotAllowed   = "host_not_allowed"          // 403: a name was resolved to loopback (DNS rebinding)
	codeInternal         = "internal"                  // 500: a defect of ours
	codeBusy             = "busy"                      // 503: a limit of the node is full
	codeDraining         = "draining"                  // 503: the node is going away
	codeNotReady         = "not_ready"                 // 503: /readyz, with reasons
	codeNodeUnreachable  = "node_unreachable"          // 503: another node had to be asked and did not answer
	codeStoreFailed      = "store_failed"              // 503: the store could not be read
	codeBodyTooLarge     = "body_too_large"            // 413
	codeBodyUnreadable   = "body_unreadable"           // 400: it ended early or was badly chunked
	codeBodyTimeout      = "body_timeout"              // 408: it did not arrive in time
	codePayloadTooLarge  = "payload_too_large"         // 413
	codeContentType      = "content_type"              // 415
	codeNameInvalid      = "name_invalid"              // 400: an account or device name
	codeQueryInvalid     = "query_invalid"             // 400: a query parameter
	codeHeaderInvalid    = "header_invalid"            // 400: a request header
	codeTTLMissing       = "ttl_missing"               // 400: RFC 8030 section 5.2
	codeTTLRange         = "ttl_out_of_range"          // 422: longer than push.ttl_max
	codeTTLToAll         = "ttl_to_all"                // 422: nothing is kept for everybody
	codeTTLToTopic       = "ttl_to_topic"              // 422: a topic has a window instead
	codeAcksUnsupported  = "acks_unsupported"          // 422: acks "first" is for the devices of one account
	codeAcksUnused       = "acks_unused"               // 422: acks "first", and no ack is waited for
	codeNotKept          = "not_kept"                  // 503: the push could not be stored, and is not
	codeKeepTimeout      = "keep_timeout"              // 503: the disk has not said in time whether it has the push
	codeMessageUnknown   = "message_unknown"           // 404: no such message is kept, or its outcome is forgotten
	codeTraceUnknown     = "trace_unknown"             // 404: no node remembers an event of the message
	codeTimeoutRange     = "timeout_out_of_range"      // 422
	codePayloadInvalid   = "payload_invalid"           // 400: not what its content type says
	codeKeyReused        = "idempotency_key_reused"    // 409
	codeKeyInFlight      = "idempotency_key_in_flight" // 409: the first push of the key has no outcome yet
	codeKeyMismatch      = "idempotency_key_mismatch"  // 400: id and Idempotency-Key differ
	codeKeyInvalid       = "idempotency_key_invalid"   // 400
	codeDeviceUnknown    = "device_unknown"            // 404: no record of it
	codeDeviceOffline    = "device_offline"            // 410: known, not connected
	codeConnectionGone   = "connection_gone"           // 410: @connections
	codeOverloaded       = "overloaded"                // 429: a limit of what is kept, named in the detail; @connections: of the connection
	codeDeliveryTimeout  = "delivery_timeout"          // 504: @connections, not written in time
	codeSigV4Missing     = "sigv4_missing"             // 403
	codeSigV4Malformed   = "sigv4_malformed"           // 403
	codeSigV4UnknownKey  = "sigv4_unknown_key"         // 403
	codeSigV4Skew        = "sigv4_skew"                // 403
	codeSigV4Payload     = "sigv4_payload"             // 403
	codeSigV4Signature   = "sigv4_signature"           // 403
	codeLineTooLong      = "line_too_long"             // 413: one line of a stream
	codeStreamCut        = "stream_cut"                // last line: the request ended early
	codeStreamIdle       = "stream_idle"               // last line: no input for stream.idle_timeout
	codeResultBufferFull = "result_buffer_full"        // last line: the client did not read
)
