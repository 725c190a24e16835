// Package archtest states who may import whom in this house, each row with its
// reason, and checks it against what the Go tool says of the real tree.
//
// The check is over everything a package reaches, directly or through others,
// not only over its own import lines. Test files are not judged: a test may use
// a simulator.
//
// A row that matches no package fails, on either side, so that a renamed folder
// cannot silence its rule. The test of the test plants a forbidden import into
// the tree through the Go tool's overlay and demands that the check sees it.
//
// # Decisions
//
// Rules are written over import paths with "..." as in the Go tool, and "*sim"
// for "last element ends in sim": the house names its simulators so.
package archtest
