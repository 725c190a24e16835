// Package judge runs one transaction against a card and explains everything that happened: candidate list, every
// command and response, the registers after every step, cardholder verification, cryptogram and outcome. The card may
// be a recorded script, a reader or anything else that answers APDUs. It also takes EMV data apart in words.
//
// It is not a kernel: agent/emv/contact and agent/emv/contactless decide, this package watches them. It is not a test
// laboratory: what it prints is an explanation, not an approval of anything.
//
//	script, err := judge.ParseScript(file)
//	var s judge.Settings
//	err = s.Set("amount", "12.34")               // or s.ReadJSON(settingsFile)
//	s.Fill(script.Settings())                    // the rest as it was recorded
//	report, err := judge.Run(ctx, script.Card(judge.MatchAny), s, judge.Options{})
//	err = report.WriteText(os.Stdout)            // or encoding/json
//
// # Scripts
//
// A script is plain text of at most MaxScript bytes, one APDU a line:
//
//	# a comment, alone or at the end of a line
//	> 00 A4 04 00 0E 31 50 41 59 2E 53 59 53 2E 44 44 46 30 31 00
//	< 6A 82
//
// '>' is a command, '<' the card's answer to it; spaces inside the hexadecimal are free. Recordings of the T=0 protocol
// are understood: an answer 61xx with its GET RESPONSE, or 6Cxx with the repeated command, counts as one exchange. A
// command without an answer, or "< mute", is a card that fell silent. Script.Settings recovers from the commands what
// terminal they came from: a signature in a recording holds only with its own amount, date and unpredictable number.
//
// # Secrets
//
// Reports hide card number, track data, cardholder name and PIN data unless Options.Reveal is set; the card number
// appears with its first six and last four digits. Commands filled from a data object list are masked by that list. A
// Recorder writes the bytes as they are, because a masked script cannot be run again: it is for test cards only.
//
// # Limits
//
// A script has no clock: relay resistance (contactless kernel 2) measures the judge, not the recorded card. Nobody
// enciphers an online PIN: its block is empty. Scripts of a second presentation to a contactless card are not run.
//
// # What survives
//
// Nothing is stored and no goroutine is started. Garbage in scripts, settings and hexadecimal is a typed error that
// names line or key.
//
// # Decisions
//
//   - The judge listens between kernel and card instead of trusting the kernel's own trace: both kernels are then
//     explained alike, and an answer that made a kernel stop is still shown.
//   - Le is not compared when a script is matched: it belongs to the transport, and recordings of T=0 have none.
//   - The report is data first; the text is written from the same data, so that neither can say more than the other.
//   - Settings are text under names, from flags and from JSON alike, and checked in one place.
package judge
