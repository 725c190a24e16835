// Package vterm is the virtual terminal's web page: the screen, keyboard, card
// slot and paper of a simulated terminal in a browser, and beside them what
// terminal, host and fleet know of each transaction.
//
// It is a pair of hands and eyes, not a terminal: a key goes to the simulated PIN
// pad, a card into the simulated slot, and what is shown are the dots of the
// simulated panel and the dots on the simulated paper. It decides nothing and
// keeps nothing.
//
//	page := vterm.New(vterm.Options{Log: log})
//	h, err := house.Open(house.Options{OnHost: page.HostMessage, ...})
//	ln, err := net.Listen("tcp", "127.0.0.1:0")
//	fmt.Println(page.URL(ln.Addr()))
//	err = page.Serve(ctx, ln, vterm.House{Terminal: h.Agent, Board: h.Board, ...})
//
// # Requests
//
//	GET  /?token=T   the page; takes a cookie that every other request needs
//	GET  /events     what is seen, as server-sent events
//	POST /keys       {"keys":["1","enter"]}
//	POST /card       {"name":"online-pin"} puts a card in, {"name":""} takes it out
//	POST /switch     {"name":"paper","choice":"out"}
//	POST /tear       {} tears the paper off
//	GET  /paper.png, /paper.txt
//
// A refusal is {"error":"..."} with status 400, 403, 404, 409, 413, 415 or 503.
//
// # Events
//
// Each kind of thing seen is a topic with a version. A browser gets the newest of
// each at first, and later only what has changed, at most ten times a second; a
// slow browser skips versions and never queues them. Paper and host messages are
// sent as what has been added. After a break the browser starts anew.
//
// # Secrets
//
// A pressed key goes from the request's body to the PIN pad and nowhere else: not
// into an event, a log, an error or the page's document. The screen's text says
// how many characters of a PIN there are. Card numbers and host messages are
// masked by those who give them.
//
// # Power cut
//
// There is nothing to lose. A page left open connects again by itself as long as
// the token is the same, that is as long as the process lives.
//
// # Goroutines
//
// Serve owns all of them: the server's, and one that looks at the terminal while
// a browser is there to see it.
//
// # Limits
//
// One terminal to a page. Mobile browsers must be on the same machine, since the
// page is on loopback only; its layout is for them all the same.
//
// # Decisions
//
//   - The token is in the address that the laboratory prints, so that opening the
//     page is one click; the page removes it from the address at once. The cookie
//     carries part of the token's hash in its name, because browsers share cookies
//     between ports.
//   - The Host header must be a loopback name (DNS rebinding), and a request that
//     changes something must not come from another site's page.
//   - Pixels travel as pictures in the event stream and are drawn on a canvas, so
//     that an idle page makes no request at all.
//   - Keys are sent in batches, one request at a time: separate requests could
//     overtake each other and change an amount.
//   - Switches are data: the laboratory adds one and the page shows it.
package vterm
