package archtest

// Rule says that no package of From may reach a package of Never.
type Rule struct {
	From    []string // patterns below the module: "agent/emv/...", "cmd/terminald"
	Except  []string // patterns taken out of From
	Never   []string // patterns below the module, or whole paths of other modules
	Because string
}

// Module is the path all patterns without a dot in their first element are
// relative to.
const Module = "posagent"

const (
	mqtt    = "github.com/eclipse/paho.mqtt.golang"
	broker  = "github.com/mochi-mqtt/server/v2/..."
	bbolt   = "go.etcd.io/bbolt"
	iso8583 = "github.com/moov-io/iso8583/..."
	periph  = "periph.io/x/conn/v3/..."
)

// Rules is the house: one row for each wall.
var Rules = []Rule{
	{
		From:    []string{"drivers/...", "printer/...", "nfc/..."},
		Never:   []string{"agent/...", "ota/...", "cmd/...", "build/...", mqtt, bbolt, iso8583},
		Because: "devices know nothing of payments, network or store",
	},
	{
		From:    []string{"agent/emv/..."},
		Never:   []string{"drivers/...", "printer/...", "nfc/...", "ota/...", "agent/acquirer/...", "agent/journal", "agent/keys", "agent/config", "agent/operator", "agent/link", periph},
		Because: "the kernel is a pure function of card, terminal data and amount",
	},
	{
		From:    []string{"agent/acquirer"},
		Never:   []string{"agent/emv/contact", "agent/emv/cardsim", "agent/journal", "agent/transaction", "agent/operator", "drivers/...", "printer/...", "nfc/...", "ota/..."},
		Because: "the host link sees payment values only",
	},
	{
		From:    []string{"agent/journal"},
		Never:   []string{"agent/emv/...", "agent/acquirer/...", "agent/transaction", "agent/receipt", "drivers/...", "printer/...", "nfc/...", "ota/..."},
		Because: "the record depends on nobody",
	},
	{
		From:    []string{"ota/wire"},
		Never:   []string{"agent/...", "drivers/...", "printer/...", "nfc/...", "cmd/..."},
		Because: "what crosses the air must be readable by a terminal whose payment code is broken",
	},
	{
		From:    []string{"ota/fleet/..."},
		Never:   []string{"agent/...", "drivers/...", "printer/...", "nfc/...", "cmd/..."},
		Because: "the fleet knows terminals only through ota/wire",
	},
	{
		From:    []string{"agent/..."},
		Never:   []string{"ota/fleet/...", broker},
		Because: "the terminal carries no server code",
	},
	{
		From:    []string{"agent/payment", "agent/emv/tlv", "ota/wire"},
		Never:   []string{"drivers/...", "printer/...", "nfc/...", "agent/journal", mqtt, bbolt, iso8583, periph},
		Because: "vocabulary is a leaf over the standard library",
	},
	{
		From:    []string{"cmd/terminald", "cmd/terminalctl"},
		Never:   []string{"*sim", "agent/vterm", "ota/fleet/...", broker},
		Because: "no simulator and no server in the terminal's image",
	},
	{
		From:    []string{"agent/...", "drivers/...", "printer/...", "nfc/...", "ota/..."},
		Except:  []string{"*sim", "agent/vterm"},
		Never:   []string{"*sim", "cmd/...", "build/..."},
		Because: "a device that knows its simulator is not a device; commands and proofs stand above the house",
	},
}
