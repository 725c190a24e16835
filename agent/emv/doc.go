// Package emv holds what every chip kernel of the terminal shares: the card as an interface, command and response
// APDUs, the data store of one transaction, the bit fields of EMV in words, terminal data with its application and
// public key tables, and the outcome a kernel ends with.
//
// It is not a kernel. The contact kernel is agent/emv/contact; offline data authentication is agent/emv/oda; the
// virtual card to test them with is agent/emv/cardsim. It is not approved by any scheme or laboratory: it implements
// the flow of EMV 4.4 Books 1, 3 and 4, nothing more is claimed.
//
//	k := contact.Kernel{Terminal: terminal, Applications: apps, CAPKs: keys, Now: time.Now, Rand: rand.Reader}
//	session, out, err := k.Start(ctx, card, emv.Transaction{Amount: 1234, Sequence: 7}, dialogue)
//	if err == nil && out.Kind == emv.Online {
//		out, err = session.Complete(ctx, emv.OnlineResult{ARC: "00", IssuerAuthData: tag91})
//	}
//
// A kernel is a function of card, terminal data, transaction, clock and random source. Nothing here touches a device,
// a network or a disk, nothing is kept between transactions, and no goroutine is started.
//
// # Secrets
//
// The store holds the PAN, track 2 and the cardholder name, because the kernel must compute with them. Store and Value
// mask them when printed, Outcome carries them as payment.PAN and payment.Track2, which mask themselves, and trace
// events are masked before the hook sees them. DE 55 never holds 5A or 57.
//
// # Coverage
//
// Rule, section (EMV 4.4 Books 1 to 4, EMV Contactless Books A to C) and the test that proves it, with its row where it
// has rows of its own. A test of this package fails when one of them does not exist.
//
//	SELECT of the directory, its FCI               Book 1, 11.3.4, 12.3.2           contact.TestSelection/12.3.2 directory, in priority order
//	directory that is broken or missing            Book 1, 12.3.2                   contact.TestSelection/12.3.2 broken directory falls back
//	card that is blocked (6A81)                    Book 1, 12.3.2                   contact.TestSelection/12.3.2 card blocked
//	list of AIDs with SELECT NEXT                  Book 1, 12.3.3                   contact.TestSelection/12.3.3 list of AIDs with SELECT NEXT
//	blocked application (6283)                     Book 1, 12.3.3                   contact.TestSelection/12.3.3 blocked application
//	SELECT NEXT without an end                     Book 1, 12.3.3                   contact.TestBounds/a new application at every SELECT NEXT
//	directory without an end                       Book 1, 12.3.2                   contact.TestBounds/a directory without an end
//	Application Selection Indicator                Book 1, 12.3.1                   contact.TestSelection/12.3.1 whole name only
//	DF name compared in full                       Book 1, 12.3.3                   contact.TestBounds/its own name whatever is selected
//	priority and the cardholder's choice           Book 1, 12.4                     contact.TestSelection/12.4 the cardholder's choice
//	confirmation                                   Book 1, 12.4                     contact.TestConfirmation
//	refused application is struck                  Book 1, 12.4                     contact.TestSelection/12.4 refused application is struck
//	FCI of an application                          Book 1, 11.3.4                   contact.TestParseFCI
//	language and code table                        Book 4, 11.1                     contact.TestCardholderTexts
//	GET PROCESSING OPTIONS, both formats           Book 3, 6.5.8, 10.1              contact.TestParseOptions
//	data object lists: padding and cutting         Book 3, 5.4                      tlv.TestFillDOL
//	PDOL                                           Book 3, 10.1                     contact.TestCards/pdol
//	AFL                                            Book 3, 10.2                     contact.TestParseAFL
//	mandatory and redundant data                   Book 3, 7.2, 10.2                contact.TestRecords
//	data objects that lie about themselves         Book 3, Annex B                  contact.TestBadInput
//	choice of the method                           Book 3, 10.3                     contact.TestChooseODA
//	static data, tag list                          Book 2, 5.1.1; Book 3, 10.3      contact.TestBitFlips/signed record
//	CA public keys and their checksum              Book 2, 11.2; Book 4, 12.1       emv.TestCAPK
//	issuer certificate                             Book 2, 5.3                      oda.TestIssuerKey
//	revoked issuer certificate                     Book 2, 5.1.2, 5.3               contact.TestRevoked
//	ICC certificate                                Book 2, 6.4                      oda.TestICCKey
//	SDA                                            Book 2, 5.4                      oda.TestStatic
//	DDA, length of the ICC Dynamic Number          Book 2, 6.5.2                    oda.TestDynamic
//	DDOL, and that of the terminal                 Book 2, 6.5.1                    contact.TestDDOL
//	CDA, first cryptogram                          Book 2, 6.6                      contact.TestBitFlips/SDAD of CDA
//	CDA, second cryptogram                         Book 2, 6.6                      contact.TestChangingAnswers
//	CDA asked for and not given                    Book 2, 6.6                      contact.TestUnsignedApproval
//	application version                            Book 3, 10.4.1                   contact.TestRestrictions/10.4.1 versions differ
//	application usage control                      Book 3, 10.4.2                   contact.TestRestrictions/10.4.2 domestic card abroad
//	effective and expiration dates                 Book 3, 10.4.3                   contact.TestRestrictions/10.4.3 expired yesterday
//	CVM list: absent, empty, odd                   Book 3, 10.5                     contact.TestCVM/no rules
//	condition codes 00 to 09                       Book 3, 10.5, Annex C3           contact.TestCVM/02 a plain purchase
//	amounts X and Y in the application's currency  Book 3, 10.5                     contact.TestCards/amount-rules
//	cash, cashback                                 Book 3, 10.5                     contact.TestCVM/05 with cashback
//	unrecognised CVM                               Book 3, 10.5                     contact.TestCVM/unrecognised CVM goes on
//	CVM results, TVR and TSI of each end           Book 4, 6.3.4.5                  contact.TestCards
//	TVR and TSI after each step                    Book 3, 10                       contact.TestRegistersAfterEachStep
//	plaintext PIN                                  Book 3, 10.5.1                   contact.TestCards/plain-pin
//	PIN try counter, last try, try limit           Book 3, 10.5.1; Book 4, 6.3.4.1  contact.TestPINTries
//	answers to VERIFY                              Book 3, 6.5.12                   contact.TestPINAnswers
//	PIN bypass                                     Book 4, 6.3.4.3                  contact.TestPINBypassHolds
//	enciphered PIN                                 Book 2, 7.2; Book 3, 10.5.1      contact.TestCards/enciphered-pin
//	key of PIN encipherment                        Book 2, 7.1                      oda.TestPINKey
//	online PIN                                     Book 3, 10.5.2                   contact.TestCVM/online PIN
//	signature                                      Book 3, 10.5.3                   contact.TestCards/signature
//	PIN and signature                              Book 3, 10.5.4                   contact.TestCards/plain-pin-signature
//	exception file                                 Book 3, 10.6; Book 4, 6.3.5      contact.TestRisk/exception file
//	merchant forces online                         Book 4, 6.3.5                    contact.TestRisk/merchant forces online
//	floor limit, split sales                       Book 3, 10.6.1                   contact.TestRisk/10.6.1 with recent amounts
//	random selection, biased                       Book 3, 10.6.2                   contact.TestRandomSelection
//	velocity checking, new card                    Book 3, 10.6.3                   contact.TestRisk/10.6.3 upper limit
//	action codes                                   Book 3, 10.7                     contact.TestAction
//	TC hash, TDOL                                  Book 3, 9.2.2                    contact.TestTCHash
//	GENERATE AC, both formats                      Book 3, 6.5.5, 9.3, 10.8         contact.TestParseAC
//	cryptogram above what was asked for            Book 3, 9.3                      contact.TestHostile/TC although an AAC was asked for
//	online processing, issuer authentication       Book 3, 10.9                     contact.TestCompletion/wrong ARPC
//	unable to go online                            Book 3, 10.7; Book 4, 6.3.8      contact.TestCompletion/unable to go online
//	referral                                       Book 4, 6.3.8                    contact.TestCompletion/host wants a call
//	issuer scripts 71 and 72                       Book 3, 10.10                    contact.TestCompletion/both scripts
//	sizes of scripts                               Book 3, 10.10                    contact.TestScripts
//	script results                                 Book 4, Annex A5                 contact.TestCompletion/malformed script
//	block and unblock commands                     Book 3, 6.5.1 to 6.5.10          contact.TestBlockedByScript
//	completion, second GENERATE AC                 Book 3, 10.11                    contact.TestPersonalities
//	magnetic stripe instead of the chip            schemes' rules                   contact.TestFallback
//	status words that end a transaction            Book 3, 6.3.5                    contact.TestStatusAtEveryCommand
//	a card pulled out at any command               Book 4, 6.1                      contact.TestRemoved
//	pre-processing, limits of every kind           Book B, 3.1.1                    contactless.TestPreprocessing/3.1.1.4 below the transaction limit
//	zero amount                                    Book B, 3.1.1.3                  contactless.TestPreprocessing/3.1.1.3 zero amount allowed
//	status check                                   Book B, 3.1.1                    contactless.TestIndicators/status check
//	autorun                                        Book A, 5.1                      contactless.TestPreprocessing/autorun takes its own transaction
//	terminal transaction qualifiers                Book B, 3.1.1                    contactless.TestIndicators
//	refund, cash, cashback, balance                Book A, 5.1                      contactless.TestTypes
//	PPSE, combination list, priority               Book B, 3.3.2, 3.3.3             contactless.TestCandidates/priority
//	kernel identifiers                             Book B, 3.3.2.5                  contactless.TestKernelIdentifiers
//	extended selection                             Book B, 3.3.2                    contactless.TestCandidates/extended selection
//	Select Next                                    Book B, 3.5                      contactless.TestCandidates/Select Next
//	starts A to D, restart                         Book B, 3.1, 3.5                 contactless.TestTransitions
//	parameters of an outcome                       Book A, 6.2                      contactless.TestOutcomeParameters
//	card taken before signatures are verified      Book A, 6.2                      contactless.TestAfterTheCard
//	kernel 3: fDDA, floor limit                    Book C-3                         contactless.TestPersonalities/k3-fdda
//	kernel 3: CTQ, online PIN                      Book C-3                         contactless.TestPersonalities/k3-online-pin
//	kernel 3: CTQ, verified on the device          Book C-3                         contactless.TestPersonalities/k3-cdcvm
//	kernel 3: fDDA that fails                      Book C-3                         contactless.TestPersonalities/k3-bad-fdda
//	signed amount, currency and number             Book C-3                         contactless.TestChangedAmount
//	kernel 7: fDDA, online PIN                     Book C-7                         contactless.TestPersonalities/k7-online-pin
//	kernel 2: CDA                                  Book C-2                         contactless.TestPersonalities/k2-cda
//	kernel 2: CVM list                             Book C-2; Book 3, 10.5           contactless.TestCVMList
//	kernel 2: relay resistance                     Book C-2                         contactless.TestRelay
//	kernel 2: torn transactions                    Book C-2                         contactless.TestTorn
//	kernel 2: what a cryptogram comes to           Book C-2                         contactless.TestDecided2
//	one wrong bit approves nothing offline         Book 2, 5, 6                     contactless.TestBitFlips
//	a card taken away at any command               Book B, 3.1, 3.5                 contactless.TestRemoved
//	bounds of one tap                              Book A, 6.2                      contactless.TestBounds
//
// # Decisions
//
//   - An outcome is not an error. A declined sale, a removed card, a card that lies and a cancelled PIN are Outcomes. An
//     error means that the caller used the kernel wrongly.
//   - A PIN pad that lets the card verify a PIN is an interface beside Dialogue (OfflinePINPad), so that a terminal without
//     one needs no empty method, and so that the kernel never holds a digit.
//   - Bits have a type for each field (TVRBit, TSIBit, AIPBit ...), so that a TSI bit cannot be set in a TVR.
//   - Tables are plain values that marshal to JSON as hexadecimal, so that a terminal's configuration can carry them.
package emv
