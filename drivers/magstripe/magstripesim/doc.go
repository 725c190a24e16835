// Package magstripesim is a magnetic card and the heads it is pulled through:
// the flux changes of a stripe under a hand that speeds up, trembles and comes
// from the wrong side, and three kinds of part behind the head, each at the
// level of its bytes or pins.
//
// It knows nothing of the driver: what it records is encoded here, on its own.
//
//	card := magstripesim.Card{Track2: "6228480000000000=30121010000"}
//	intervals := card.Intervals(2, magstripesim.Stroke{Speed: 40, Jitter: 0.1})
//	head := magstripesim.NewSampler(present)          // SPI part
//	bus := bussim.NewSPI("MSR", head)
//	head.Pull(card, magstripesim.Stroke{})
//
// # Limits
//
// No model of the field of the head: peak shift is a displacement towards the
// emptier side, a drop-out takes two flux changes at once, as a comparator with
// hysteresis loses them.
package magstripesim
