// Package receipt turns a journal record into the paper that leaves the shop.
//
// It is not a layout and not a printer: it says which lines a receipt has, in
// which words and sizes, as a printer.Document; wrapping, fonts and dots are
// package raster's, paper is package thermal's. It reads the record and the
// header and nothing else, so that printing now and reprinting next week are
// one path, and it holds no state.
//
//	doc, err := receipt.Compose(rec, header, receipt.Merchant, receipt.Both, 0)
//	if err != nil { ... }
//	err = thermal.Print(ctx, doc)
//
// # Rules
//
// The content follows JR/T 0001-2001, section 8, and the usual data of chip
// receipts: merchant name, merchant number (15 digits), terminal, operator,
// acquirer and issuer, card number, type, batch, voucher number (the STAN, the
// same on a reprint), authorisation code, reference number, date and time,
// amount; then application identifier and name, cryptogram, TVR, TSI.
//
//	merchant copy      first six and last four digits of the card number
//	cardholder copy    last four digits, and no signature line
//	signature line     unless the cardholder entered a PIN, was verified on an
//	                   own device, or the card asked for no verification
//	reprint            marked above and below, with its number
//	test terminal      marked TEST: the paper is worth nothing
//
// A record without an outcome has no receipt. Declined, unsent, reversing and
// reversed transactions have one that says in double size that no money is due.
//
// # Decisions
//
// Both languages on one slip put the Chinese word before the English one on the
// same line; a pair that is too wide for the paper goes on two lines, whole.
//
// The mask of the card number is checked again here, on the text about to be
// printed: a record that shows more digits than a merchant copy may is refused.
package receipt
