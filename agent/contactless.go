package agent

import (
	"errors"
	"fmt"
	"slices"

	"posagent/agent/emv"
	"posagent/agent/emv/contact"
	"posagent/agent/emv/contactless"
	"posagent/agent/payment"
	"posagent/ota/wire"
)

// kernelOf says which contactless kernel the applications of a scheme are for. EMV
// Contactless Book B, 3.3.2.5.
var kernelOf = map[emv.RID]contactless.KernelID{
	{0xA0, 0x00, 0x00, 0x00, 0x04}: contactless.Kernel2,
	{0xA0, 0x00, 0x00, 0x00, 0x03}: contactless.Kernel3,
	{0xA0, 0x00, 0x00, 0x03, 0x33}: contactless.Kernel7,
}

// Terminal data of the contactless kernels that the hardware decides: EMV mode,
// contact chip, online PIN, signature; on-device verification (Book A, 5.7). The
// CVM capabilities are byte 2 of 9F33 as kernel 2 wants it: online PIN and
// signature where a CVM is required, no CVM below.
var (
	terminalQualifiers      = contactless.TTQ{0x36, 0x00, 0x40, 0x00}
	cvmCapability      byte = 0x60
	noCVMCapability    byte = 0x08
)

// newContactless makes the contactless kernels of a configuration, from the
// contact kernel's data; nil when the configuration does not have the feature. The
// terminal approves nothing by itself: every floor limit is zero.
func newContactless(c *wire.Config, k *contact.Kernel) (*contactless.Config, error) {
	if !slices.Contains(c.Features, wire.FeatureContactless) {
		return nil, nil
	}
	config := &contactless.Config{Terminal: k.Terminal, CAPKs: k.CAPKs}
	for _, app := range k.Applications {
		if id, ok := kernelOf[app.AID.RID()]; ok {
			config.Combinations = append(config.Combinations, combination(c.Limits, app, id))
		}
	}
	if len(config.Combinations) == 0 {
		return nil, wrong("features", errors.New("contactless needs an AID of RID A000000003, A000000004 or A000000333"))
	}
	if _, err := contactless.New(*config); err != nil {
		return nil, wrong("aids", fmt.Errorf("contactless: %w", err))
	}
	return config, nil
}

// combination gives an application its contactless limits in minor units. The
// configuration's cvm_required is "at or above"; kernel 2 takes "above" (Book C-2,
// reader CVM required limit), so its limit is one less.
func combination(l wire.Limits, app emv.Application, id contactless.KernelID) contactless.Combination {
	floor, cvm := payment.Amount(0), payment.Amount(l.CVMRequired)
	if id == contactless.Kernel2 {
		cvm = max(0, cvm-1)
	}
	app.FloorLimit = 0
	one := contactless.Combination{
		Application: app, Kernel: id, TTQ: terminalQualifiers, ExtendedSelection: true, FloorLimit: &floor, CVMLimit: &cvm,
		CVMCapability: cvmCapability, NoCVMCapability: noCVMCapability, OnDeviceCVM: true, Torn: true,
	}
	// "At or above" is refused, and max_amount is the largest that is not.
	if most := payment.Amount(l.MaxAmount) + 1; most <= payment.MaxAmount {
		one.TransactionLimit = &most
	}
	return one
}
