// Package config takes the fleet's signed configuration through its stations:
// desired, verified, validated, stored, current snapshot, reported.
//
// All or nothing: a configuration is one immutable Snapshot behind one pointer.
// Whoever works with it takes the snapshot once, at the start of a transaction,
// and keeps it. A refused configuration leaves the old one in force, and the
// report says which field and why.
//
// It is not a transport (agent/link brings the bytes and carries the report) and
// it decides no time: the caller applies when the terminal is idle.
//
//	store, err := config.Open(dir, verify, check)
//	report := store.Stage(body)        // verify, validate, store; nothing in force yet
//	if report.State == wire.ReportedAccepted {
//		report, err = store.Apply()    // when idle
//	}
//	snapshot := store.Current()        // nil before the first configuration
//
// What survives a power cut: the configuration in force, and one staged but not
// yet applied. Both are kept in their signed envelope and verified again when
// read, so that an edited file is as good as a forged message.
//
// # Decisions
//
// A configuration cannot make the terminal another one for the acquirer: merchant
// and terminal id stay those of the configuration in force. A new binding begins
// with a new activation, after everything owed under the old one is settled.
//
// The envelope is stored, not the decoded document: there is one form of the
// truth, and it carries its proof.
package config
