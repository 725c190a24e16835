package enroll

import (
	"sync"
	"time"
)

// Bounds on what strangers can make the desk remember and do.
const (
	perSerial    = 30  // messages a minute that name one serial
	perAddress   = 240 // messages a minute from one address: a shop's terminals share one
	maxLimited   = 20_000
	maxExchanges = 4_096
	exchangeLife = 90 * time.Second // a little more than a bootstrap connection
)

// limiter counts per minute. Its zero value is ready.
type limiter struct {
	mu     sync.Mutex // guards what follows
	minute time.Time
	counts map[string]int
}

// allow counts one message; it is false when there were too many, or too many different ones to tell apart.
func (l *limiter) allow(now time.Time, address, serial string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts == nil || now.Sub(l.minute) >= time.Minute || now.Before(l.minute) {
		l.counts, l.minute = map[string]int{}, now
	}
	if len(l.counts) >= maxLimited {
		return false
	}
	a, s := "a "+address, "s "+serial
	if l.counts[a] >= perAddress || l.counts[s] >= perSerial {
		return false
	}
	l.counts[a]++
	l.counts[s]++
	return true
}

// exchange is a challenge that waits for its certificate request.
type exchange struct {
	serial, nonceT, nonceF, spki string
	until                        time.Time
}

// exchanges keeps the open challenge of each bootstrap connection. Its zero value is ready.
type exchanges struct {
	mu   sync.Mutex // guards open
	open map[string]exchange
}

// put is false when too many are open.
func (e *exchanges) put(client string, x exchange, now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.open == nil {
		e.open = map[string]exchange{}
	}
	if len(e.open) >= maxExchanges {
		for k, old := range e.open {
			if now.After(old.until) {
				delete(e.open, k)
			}
		}
	}
	if _, known := e.open[client]; !known && len(e.open) >= maxExchanges {
		return false
	}
	e.open[client] = x
	return true
}

func (e *exchanges) find(client string, now time.Time) (exchange, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	x, ok := e.open[client]
	return x, ok && !now.After(x.until)
}

func (e *exchanges) drop(client string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.open, client)
}
