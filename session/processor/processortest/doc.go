// Package processortest is a twin of the processor for tests of its sources: it takes
// records and answers when and what the test says, and it remembers what it was given.
//
// It is for tests only. Start reading at sink.go.
package processortest
