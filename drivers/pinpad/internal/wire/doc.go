// Package wire is the serial protocol between a terminal and its secure PIN pad,
// both ends: frames, words, message bodies and the link that repeats what was
// lost. The manual is in package pinpad.
//
// It does no input or output and owns no clock: Link is handed bytes and times
// and hands back bytes and messages, so that both ends and every test drive the
// same code. Nothing here may be used from two goroutines at once.
package wire
