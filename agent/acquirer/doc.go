// Package acquirer is the terminal's line to the acquirer's host: ISO 8583
// messages of a profile, framed with TPDU and header over TCP, one request at a
// time, and a reply accepted only if it is the answer.
//
// It is not the place where a transaction is kept or decided: who calls
// Authorize has already made the request durable, and who gets an error reverses
// it. It knows payment values and key uses, no kernel, no journal, no device.
//
//	profile, err := acquirer.Builtin("unionpay-pos")
//	link, err := acquirer.New(acquirer.Config{
//		Profile: profile, Addr: "host:5001", TerminalID: "12345678",
//		MerchantID: "123456789012345", Keys: pinpad, Log: log,
//	})
//	signed, err := link.SignIn(ctx, stan)
//	resp, err := link.Authorize(ctx, request)
//	if reason, owed := acquirer.ReversalReason(err); owed {
//		resp, err = link.Reverse(ctx, payment.Reversal{Request: request, Reason: reason})
//	}
//
// # Sources
//
// ISO 8583:1987 for message types, bitmap and field formats; the UnionPay POS
// profile as publicly described for encodings, field 60, header, MAC and
// reversal rules; its table is profiles/unionpay-pos.json.
//
// # The wire
//
//	LEN (2) | TPDU (5) = 60 dst(2) src(2) | HEAD (6) | type (2 BCD) | bitmap (8) | fields
//
// LEN counts what follows it. The answer carries the TPDU with its addresses
// exchanged. Digits are packed two to a byte; the length in front of a variable
// field counts digits for n and z, bytes otherwise.
//
// # When a reply is the answer
//
// Its addresses, its type (request plus 10), fields 3, 4, 11, 41, 42 as far as
// the request had them, and the batch in field 60 if it has one, must be the
// request's. Field 4 may differ when field 39 is 10. Whatever else comes in, a
// late 0210 before the 0410 for one, is told to OnForeign, ignored, and the
// waiting goes on. Then the MAC: wrong, or missing where money moves or a
// reversal ends, is ErrBadMAC at once.
//
// # What survives a power cut
//
// Nothing; the journal is what survives. The link holds no queue.
//
// # Goroutines
//
// None is started. A Link may be used from several at once; they wait for each
// other, or for the end of their context.
//
// # Limits
//
// One host and TCP only. One bitmap (fields 2 to 64). Triple-length working keys
// and encrypted tracks are refused or not sent. Field 22 of a reversal tells
// "with PIN" from the chip's CVM results, because the image of a reversal has no
// PIN block: a magnetic-stripe sale with PIN is reversed as one without.
//
// # Decisions
//
// A profile is data, decoded strictly and compiled once to a message spec of
// github.com/moov-io/iso8583 in which every encoder and prefixer is ours: the
// stock ones rebuild conversion tables for every field, know no 'D' and no GBK,
// and accept what must be refused. The library stays at v0.23.2, the last one
// that compiles for 32-bit processors. Its own errors carry the raw message and
// never leave this package. Its message objects are kept by set of fields and used
// again after they were emptied, because making them costs more than coding.
//
// What Unpack accepts, Pack gives back byte for byte; so there is one way to
// write a message, and a host cannot smuggle a second meaning into a fill nibble
// or behind the last field.
//
// An error is ErrNotSent or ErrInDoubt and nothing between: a write that failed
// counts as sent, because a part of it may have left. A connection over which a
// request stayed without an answer is closed, so that its reversal travels on a
// fresh one.
//
// A wrong MAC on a matching reply ends the exchange instead of being ignored
// until the timer: keys out of step are far more often the cause than a forger,
// who could hold back the true answer anyway, and the reversal is right in both
// cases.
//
// The processing requirement is the low nibble of the header's third byte: with
// class, version and a six-digit software version around it there is no other
// place in six bytes. It is a number in the profile all the same.
//
// This terminal never offers partial approval (field 60.6 is not sent). A host
// that approves another amount nevertheless is answered with a reversal
// (ErrPartial).
package acquirer
