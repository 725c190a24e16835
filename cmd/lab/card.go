package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"posagent/agent/emv"
	"posagent/agent/emv/cardsim"
)

const cardUsage = `lab card puts one of the laboratory's virtual payment cards into the virtual PC/SC
reader of vsmartcard, where any EMV tool can read it:

  pcscd --foreground                                   (Debian: pcscd, vsmartcard-vpcd)
  lab card -list                                       what each card will do
  lab card -vpcd 127.0.0.1:35963 -card approves-offline -write-settings lab.json
  terminalctl emv run -pcsc "Virtual PCD 00 00" -settings lab.json -amount 12.34

The virtual reader's driver listens on every address of the machine: use it on an
isolated network only. The card stays inserted until SIGTERM or SIGINT, and keeps
its counters as long as this program runs. Card numbers and keys were made for tests.

Flags:
`

// chip is a card as the bridge needs it: a contact card, or a contactless one in a reader that makes up an ATR for it.
type chip interface {
	ATR() []byte
	Reset()
	Transmit(capdu []byte) []byte
}

// inField is a contactless card behind a PC/SC reader. PC/SC part 3, 3.1.3.2.3.1: the answer to reset of an ISO 14443-4
// card without historical bytes.
type inField struct{ *cardsim.Contactless }

func (inField) ATR() []byte { return []byte{0x3B, 0x80, 0x80, 0x01, 0x01} }

// maxPersonality bounds a personality's file in bytes.
const maxPersonality = 1 << 20

// contactlessPrefix tells a contactless personality from a contact one of the same name.
const contactlessPrefix = "contactless/"

// openChip makes a card of a personality's name, or of the JSON file with it.
func openChip(name string) (chip, error) {
	if strings.HasSuffix(name, ".json") {
		return readChip(name)
	}
	if short, found := strings.CutPrefix(name, contactlessPrefix); found || !slices.Contains(cardsim.Names(), name) {
		if !slices.Contains(cardsim.ContactlessNames(), short) {
			return nil, useError{fmt.Errorf("lab card: no card %q (-list shows all)", name)}
		}
		card, err := cardsim.OpenContactless(short)
		if err != nil {
			return nil, err
		}
		return inField{card}, nil
	}
	return cardsim.Open(name)
}

func readChip(name string) (chip, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read personality: %w", err)
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxPersonality))
	if err != nil {
		return nil, fmt.Errorf("read personality: %w", err)
	}
	p, err := cardsim.Parse(b)
	if err == nil {
		return cardsim.New(p)
	}
	if q, qerr := cardsim.ParseContactless(b); qerr == nil {
		card, err := cardsim.NewContactless(q)
		if err != nil {
			return nil, err
		}
		return inField{card}, nil
	}
	return nil, fmt.Errorf("%s: %w", name, err)
}

// runCard is "lab card". It returns nil when ctx has ended.
func runCard(ctx context.Context, args []string, log *slog.Logger) error {
	fs := flag.NewFlagSet("lab card", flag.ContinueOnError)
	list := fs.Bool("list", false, "list the cards and what each will do")
	addr := fs.String("vpcd", "", "`address` where the virtual reader listens: 127.0.0.1:35963, its second slot one higher")
	name := fs.String("card", "", "`name` of a card, or a JSON file with a personality")
	write := fs.String("write-settings", "", "JSON `file` for the applications and authority keys that a terminal needs for these cards, for terminalctl emv run -settings")
	if err := parse(fs, cardUsage, "LAB_CARD", args); err != nil {
		return err
	}
	if *list {
		return listCards(os.Stdout)
	}
	if *write != "" {
		if err := writeCardSettings(*write); err != nil {
			return err
		}
		if *addr == "" && *name == "" {
			return nil
		}
	}
	if *addr == "" || *name == "" {
		return useError{errors.New("lab card: takes -list, or -vpcd with -card")}
	}
	card, err := openChip(*name)
	if err != nil {
		return err
	}
	for {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", *addr)
		if err != nil {
			return fmt.Errorf("reach the virtual reader (is pcscd running, with vsmartcard-vpcd?): %w", err)
		}
		log.Info("card inserted", "card", *name, "reader", *addr)
		if err := insert(ctx, conn, card); !errors.Is(err, errMute) {
			return err
		}
		log.Info("card fell silent: taken out and put in again", "card", *name)
	}
}

func listCards(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, name := range cardsim.Names() {
		p, err := cardsim.Load(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\t%s\n", name, p.About)
	}
	for _, name := range cardsim.ContactlessNames() {
		p, err := cardsim.LoadContactless(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\t%s\n", contactlessPrefix+name, p.About)
	}
	return w.Flush()
}

// writeCardSettings writes what terminalctl emv run -settings reads.
func writeCardSettings(name string) error {
	applications := cardsim.Applications()
	for _, rid := range []string{"A000000003", "A000000004"} { // of the contactless cards
		aid, err := emv.ParseAID(rid)
		if err != nil {
			return fmt.Errorf("write settings: %w", err)
		}
		one := applications[0]
		one.AID = aid
		applications = append(applications, one)
	}
	b, err := json.MarshalIndent(map[string]any{"applications": applications, "capks": cardsim.ContactlessCAPKs()}, "", "  ")
	if err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	if err := os.WriteFile(name, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	return nil
}

// Control codes of the virtual reader: payloads of one byte.
const (
	vpcdPowerOff byte = 0
	vpcdPowerOn  byte = 1
	vpcdReset    byte = 2
	vpcdATR      byte = 4
)

// insert answers the virtual reader until ctx ends. A frame is a length of two bytes, high first, and that many bytes:
// one byte is a control code, more are a command APDU. Only a command and the ATR are answered. The reader has no way to
// hear that a card is mute and would wait half a minute: the card is pulled instead, which is errMute.
func insert(ctx context.Context, conn net.Conn, card chip) error {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()
	for {
		payload, err := readFrame(conn)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("virtual reader: %w", err)
		}
		var answer []byte
		switch {
		case len(payload) == 1 && payload[0] == vpcdATR:
			answer = card.ATR()
		case len(payload) == 1 && (payload[0] == vpcdPowerOff || payload[0] == vpcdPowerOn || payload[0] == vpcdReset):
			card.Reset()
			continue
		default:
			if answer = card.Transmit(payload); len(answer) == 0 {
				return errMute
			}
		}
		if err := writeFrame(conn, answer); err != nil && ctx.Err() == nil {
			return fmt.Errorf("virtual reader: %w", err)
		}
	}
}

var errMute = errors.New("the card is mute")

func readFrame(r io.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("read a frame: %w", err)
	}
	payload := make([]byte, binary.BigEndian.Uint16(head[:]))
	if _, err := io.ReadFull(r, payload); err != nil {
		return nil, fmt.Errorf("read a frame: %w", err)
	}
	return payload, nil
}

func writeFrame(w io.Writer, payload []byte) error {
	if len(payload) > 0xFFFF {
		return fmt.Errorf("write a frame: %d bytes", len(payload))
	}
	frame := binary.BigEndian.AppendUint16(nil, uint16(len(payload)))
	if _, err := w.Write(append(frame, payload...)); err != nil {
		return fmt.Errorf("write a frame: %w", err)
	}
	return nil
}
