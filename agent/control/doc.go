// Package control is the terminal's local interface: HTTP with JSON over a unix
// socket, for technicians, scripts and kiosks. terminalctl speaks it.
//
//	GET  /v1/status                 Status
//	POST /v1/activate               {"code": "..."}
//	POST /v1/sale                   SaleRequest -> SaleAnswer
//	GET  /v1/journal?limit=&state=  list of records, newest first
//	GET  /v1/journal/{id}           one record, by record id or trace number
//	GET  /v1/journal/verify         journal.Report
//	POST /v1/reprint                {"id": "..."}
//	GET  /v1/selftest               list of Part
//
// It is not reachable over a network: the socket is a file of mode 0600, and
// whoever may open it may operate the terminal.
//
// A sale is idempotent by its request id: the same id again gives the first
// answer, with "duplicate": true, and moves no money; with another amount it is
// refused, so that nobody takes an old sale for a new one. An answer comes when the
// outcome is durable. A client that goes away does not end the sale; it asks
// again with the same id.
//
// # Decisions
//
// Errors are {"error": {"code", "text"}} with stable codes and the HTTP status
// that fits; texts are for the person who reads the log. A refused activation has
// the fleet's reason as its code.
//
//	400 bad_request    403 code_wrong, ...    404 not_found, no_such_call
//	405 bad_method     409 busy, not_ready, activated, other_sale
//	413 too_large      500 failed
//
// An activation goes on when its client goes away, as a sale does: the code would
// be used up and the certificate lost.
package control
