package contact

import (
	"context"
	"errors"
	"fmt"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
)

// Bounds of issuer scripts. EMV 4.4 Book 3, 10.10 guarantees 128 bytes for all of them; hosts send more.
const (
	maxScripts        = 8
	maxScriptCommands = 32
)

var errScript = errors.New("issuer script is not valid")

// A script is one Issuer Script Template. EMV 4.4 Book 3, 10.10.
type script struct {
	template tlv.Tag // 71: before the final GENERATE AC, 72: after it
	id       [4]byte // 9F18, zeros when absent
	commands [][]byte
	bad      bool // malformed: it counts as failed and none of it is sent
}

// parseScripts splits the host's scripts. A malformed template is kept as bad, so that its failure is reported; bytes
// that are no templates at all are an error beside what was read before them.
func parseScripts(b []byte) ([]script, error) {
	var list []script
	for len(b) > 0 {
		o, rest, err := tlv.Next(b)
		if err != nil {
			return list, fmt.Errorf("%w: %w", errScript, err)
		}
		b = rest
		if o.Tag == 0 {
			return list, nil
		}
		if o.Tag != 0x71 && o.Tag != 0x72 {
			return list, fmt.Errorf("%w: template %v", errScript, o.Tag)
		}
		if len(list) == maxScripts {
			return list, fmt.Errorf("%w: over %d scripts", errScript, maxScripts)
		}
		list = append(list, parseScript(o))
	}
	return list, nil
}

func parseScript(o tlv.Object) script {
	sc := script{template: o.Tag}
	err := tlv.Walk(o.Value, func(depth int, e tlv.Object) error {
		switch {
		case depth != 0:
		case e.Tag == 0x9F18 && len(e.Value) == 4:
			sc.id = [4]byte(e.Value)
		case e.Tag == 0x86:
			if _, err := emv.ParseCommand(e.Value); err != nil || len(sc.commands) == maxScriptCommands {
				return errScript
			}
			sc.commands = append(sc.commands, e.Value)
		}
		return nil
	})
	sc.bad = err != nil
	return sc
}

// Results of a script, high nibble of the first byte. EMV 4.4 Book 4, Annex A5, table 30.
const (
	scriptNotPerformed = 0x00
	scriptFailed       = 0x10
	scriptSuccessful   = 0x20
)

// runScripts runs the scripts of one template and appends their results. A command that fails ends its script. EMV 4.4
// Book 3, 10.10; Book 4, 6.3.9.
func (s *Session) runScripts(ctx context.Context, list []script, template tlv.Tag) error {
	for _, sc := range list {
		if sc.template != template {
			continue
		}
		s.tsi.Set(emv.ScriptPerformed)
		result, err := s.runScript(ctx, sc)
		if result&0xF0 != scriptSuccessful {
			s.tvr.Set(scriptBit(template))
		}
		s.scripts = append(append(s.scripts, result), sc.id[:]...)
		s.store.Set(0xDF31, s.scripts, tlv.Terminal)
		s.publish()
		if err != nil {
			return err
		}
	}
	return nil
}

func scriptBit(template tlv.Tag) emv.TVRBit {
	if template == 0x71 {
		return emv.ScriptFailedBefore
	}
	return emv.ScriptFailedAfter
}

// runScript sends one script's commands. The result's low nibble numbers the command that failed, 15 for the 15th and
// later, 0 when it is not known.
func (s *Session) runScript(ctx context.Context, sc script) (result byte, err error) {
	if sc.bad {
		return scriptFailed, nil
	}
	for i, raw := range sc.commands {
		cmd, err := emv.ParseCommand(raw)
		if err != nil {
			return scriptFailed, nil
		}
		_, sw, err := s.card.send(ctx, cmd, nil)
		if err != nil || sw>>8 != 0x90 && !sw.Warning() {
			return scriptFailed | byte(min(i+1, 15)), err
		}
	}
	if len(sc.commands) == 0 {
		return scriptNotPerformed, nil
	}
	return scriptSuccessful, nil
}
