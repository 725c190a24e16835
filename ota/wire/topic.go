package wire

import (
	"errors"
	"fmt"
	"strings"
)

// Bounds of the two names that occur in topics and certificates. MaxTenant + 1 + MaxSerial is 64, the upper bound of a
// common name (RFC 5280, appendix A.1, ub-common-name).
const (
	MaxTenant = 24
	MinSerial = 4
	MaxSerial = 39
	// BootNonce is the number of lower-case hex characters after the serial in a bootstrap client id.
	BootNonce = 16
	// MaxTopic bounds a topic before it is parsed.
	MaxTopic = 128
)

// ErrTopic says that a topic, client id, tenant or serial is not one of ours.
var ErrTopic = errors.New("not a topic of this protocol")

// Leaf is the last part of a topic: what is said, and by that in which direction.
type Leaf string

// Leaves of the bootstrap listener.
const (
	BootHello       Leaf = "hello"       // terminal -> fleet
	BootChallenge   Leaf = "challenge"   // fleet -> terminal
	BootCSR         Leaf = "csr"         // terminal -> fleet
	BootCertificate Leaf = "certificate" // fleet -> terminal
	BootRefused     Leaf = "refused"     // fleet -> terminal
)

// Leaves of the main listener.
const (
	UpPresence  Leaf = "up/presence"         // retained
	UpReported  Leaf = "up/config/reported"  //
	UpEvent     Leaf = "up/event"            //
	UpSync      Leaf = "up/sync"             //
	DownDesired Leaf = "down/config/desired" // retained
	DownAck     Leaf = "down/ack"            //
)

var bootLeaves = map[Leaf]bool{ // value: written by the terminal
	BootHello: true, BootCSR: true, BootChallenge: false, BootCertificate: false, BootRefused: false,
}

var mainLeaves = map[Leaf]bool{
	UpPresence: true, UpReported: true, UpEvent: true, UpSync: true, DownDesired: false, DownAck: false,
}

// FromTerminal says that terminals write this leaf and the fleet reads it.
func (l Leaf) FromTerminal() bool { return bootLeaves[l] || mainLeaves[l] }

// ValidTenant says whether s is a tenant: 1 to 24 of a-z, 0-9 and inner hyphens.
func ValidTenant(s string) bool {
	return name(s, 1, MaxTenant, func(c byte) bool { return c >= 'a' && c <= 'z' })
}

// ValidSerial says whether s is a terminal serial number: 4 to 39 of A-Z, a-z, 0-9 and inner hyphens.
func ValidSerial(s string) bool {
	return name(s, MinSerial, MaxSerial, func(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' })
}

func name(s string, low, high int, letter func(byte) bool) bool {
	if len(s) < low || len(s) > high {
		return false
	}
	for i := range len(s) {
		c := s[i]
		inner := i > 0 && i < len(s)-1
		if !letter(c) && !(c >= '0' && c <= '9') && !(c == '-' && inner) {
			return false
		}
	}
	return true
}

// Topic builds "pos/v1/<tenant>/<serial>/<leaf>". Callers hold a validated tenant and serial.
func Topic(tenant, serial string, leaf Leaf) string {
	return "pos/v1/" + tenant + "/" + serial + "/" + string(leaf)
}

// DownFilter is the one wildcard subscription of the main listener: everything for this terminal.
func DownFilter(tenant, serial string) string { return "pos/v1/" + tenant + "/" + serial + "/down/#" }

// UpFilter covers everything that a terminal of any tenant says; for the fleet's own subscription.
const UpFilter = "pos/v1/+/+/up/#"

// BootTopic builds "boot/<serial>/<leaf>".
func BootTopic(serial string, leaf Leaf) string { return "boot/" + serial + "/" + string(leaf) }

// BootFilter is the one wildcard subscription of the bootstrap listener.
func BootFilter(serial string) string { return "boot/" + serial + "/+" }

// ParseTopic splits a topic of the main listener.
func ParseTopic(topic string) (tenant, serial string, leaf Leaf, err error) {
	parts := strings.SplitN(topic, "/", 5)
	if len(topic) > MaxTopic || len(parts) != 5 || parts[0] != "pos" || parts[1] != "v1" {
		return "", "", "", topicError(topic, "shape")
	}
	tenant, serial, leaf = parts[2], parts[3], Leaf(parts[4])
	if !ValidTenant(tenant) {
		return "", "", "", topicError(topic, "tenant")
	}
	if !ValidSerial(serial) {
		return "", "", "", topicError(topic, "serial")
	}
	if _, known := mainLeaves[leaf]; !known {
		return "", "", "", topicError(topic, "leaf")
	}
	return tenant, serial, leaf, nil
}

// ParseBootTopic splits a topic of the bootstrap listener.
func ParseBootTopic(topic string) (serial string, leaf Leaf, err error) {
	parts := strings.Split(topic, "/")
	if len(topic) > MaxTopic || len(parts) != 3 || parts[0] != "boot" {
		return "", "", topicError(topic, "shape")
	}
	serial, leaf = parts[1], Leaf(parts[2])
	if !ValidSerial(serial) {
		return "", "", topicError(topic, "serial")
	}
	if _, known := bootLeaves[leaf]; !known {
		return "", "", topicError(topic, "leaf")
	}
	return serial, leaf, nil
}

// ClientID is the MQTT client id on the main listener and the common name of the terminal's certificate.
func ClientID(tenant, serial string) string { return tenant + "/" + serial }

// ParseClientID splits a client id or certificate common name.
func ParseClientID(id string) (tenant, serial string, err error) {
	tenant, serial, _ = strings.Cut(id, "/")
	if !ValidTenant(tenant) || !ValidSerial(serial) {
		return "", "", topicError(id, "client id")
	}
	return tenant, serial, nil
}

// BootClientID is the MQTT client id on the bootstrap listener, "boot/<serial>/<nonce>". The nonce (16 lower-case hex
// characters, random for each connection) keeps a stranger from closing an honest terminal's session by using its
// serial; the first part keeps it from ever being a ClientID.
func BootClientID(serial, nonce string) string { return "boot/" + serial + "/" + nonce }

// ParseBootClientID splits a bootstrap client id.
func ParseBootClientID(id string) (serial, nonce string, err error) {
	rest, boot := strings.CutPrefix(id, "boot/")
	serial, nonce, _ = strings.Cut(rest, "/")
	if !boot || !ValidSerial(serial) || len(nonce) != BootNonce || !isHex(nonce) {
		return "", "", topicError(id, "client id")
	}
	return serial, nonce, nil
}

func topicError(s, part string) error {
	return fmt.Errorf("%w: bad %s in %s", ErrTopic, part, quote(s))
}
