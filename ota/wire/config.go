package wire

// ConfigSchema is the schema number of Config written by this version.
const ConfigSchema = 1

// Bounds of money, in minor units: DE 4 of ISO 8583 has 12 digits; batch totals (DE 86 and on) have 16.
const (
	MaxAmount int64 = 999_999_999_999
	maxTotal  int64 = 9_999_999_999_999_999
)

// Config is everything about a terminal's work that the fleet decides. It is applied as one snapshot or not at all.
type Config struct {
	Schema     uint32   `json:"schema"`      // ConfigSchema
	Revision   uint64   `json:"revision"`    // same as the envelope's
	Merchant   Merchant `json:"merchant"`    //
	TerminalID string   `json:"terminal_id"` // DE 41: 8 letters or digits
	Acquirer   Acquirer `json:"acquirer"`
	// Currency is ISO 4217 numeric ("156"), Exponent its minor digits (2), Country ISO 3166-1 numeric ("156").
	Currency string    `json:"currency"`
	Exponent uint8     `json:"exponent"`
	Country  string    `json:"country"`
	Language Language  `json:"language"` // of the screen at start
	Limits   Limits    `json:"limits"`
	Receipt  Receipt   `json:"receipt"`
	Features []Feature `json:"features"` // what the menu offers; anything else is refused
	Batch    Batch     `json:"batch"`
	AIDs     []AID     `json:"aids"`
	CAPKs    []CAPK    `json:"capks"`
}

// Merchant is whose terminal it is.
type Merchant struct {
	ID           string `json:"id"`            // DE 42: 15 digits
	CategoryCode string `json:"category_code"` // ISO 18245, 4 digits
	NameZH       string `json:"name_zh"`
	NameEN       string `json:"name_en"`
	Address      string `json:"address,omitempty"`
}

// Acquirer is how to reach the host and how to frame what is sent.
type Acquirer struct {
	Profile string   `json:"profile"`          // "unionpay-pos"
	Primary string   `json:"primary"`          // host:port
	Backup  string   `json:"backup,omitempty"` // host:port
	TLS     *HostTLS `json:"tls,omitempty"`    // absent: the line itself is private
	TPDU    string   `json:"tpdu"`             // 5 bytes hex, first 60
	Head    string   `json:"head"`             // 6 bytes hex
	TMKSlot uint8    `json:"tmk_slot"`         // slot of the terminal master key in the PIN pad
	// Time limits in milliseconds.
	ConnectTimeoutMS  uint32 `json:"connect_timeout_ms"`
	ResponseTimeoutMS uint32 `json:"response_timeout_ms"`
	// ReversalTries is how often a reversal is sent before the terminal asks for help; the reversal is kept for ever.
	ReversalTries uint8 `json:"reversal_tries"`
	// SignInHours is the age of working keys after which a new sign-in is due; 0: only at start and when asked.
	SignInHours uint8 `json:"sign_in_hours"`
	// KeyForm is the F60.3 network management code of the sign-in: "001", "003" or "004".
	KeyForm string `json:"key_form"`
	// MAC is "ecb" (CUP-ECB) or "x919" (ANSI X9.19).
	MAC string `json:"mac"`
}

// HostTLS secures the line to the host.
type HostTLS struct {
	ServerName string `json:"server_name"`
	CA         string `json:"ca"` // PEM certificates
}

// Language of screen and receipt.
type Language string

// Languages.
const (
	Chinese Language = "zh"
	English Language = "en"
)

// Limits in minor units. 0 means "none allowed" for the amounts and "always" for the thresholds.
type Limits struct {
	MaxAmount   int64 `json:"max_amount"`   // largest sale
	MaxRefund   int64 `json:"max_refund"`   // largest refund
	FloorLimit  int64 `json:"floor_limit"`  // at or above it a sale goes online
	CVMRequired int64 `json:"cvm_required"` // at or above it the cardholder is verified (contactless and QR)
}

// Receipt is what the paper says besides the transaction.
type Receipt struct {
	HeaderZH []string `json:"header_zh,omitempty"` // at most 4 lines of 24 characters
	HeaderEN []string `json:"header_en,omitempty"` // at most 4 lines of 48 characters
	FooterZH []string `json:"footer_zh,omitempty"`
	FooterEN []string `json:"footer_en,omitempty"`
	Copies   uint8    `json:"copies"` // 0 to 3
}

// Feature is one entry of the terminal's menu.
type Feature string

// Features.
const (
	FeatureSale        Feature = "sale"
	FeatureVoid        Feature = "void"
	FeatureRefund      Feature = "refund"
	FeatureBalance     Feature = "balance"
	FeaturePreAuth     Feature = "pre_auth"
	FeatureSettlement  Feature = "settlement"
	FeatureQRPayer     Feature = "qr_payer"    // scan the payer's code
	FeatureQRMerchant  Feature = "qr_merchant" // show the merchant's code
	FeatureContactless Feature = "contactless"
	FeatureMagstripe   Feature = "magstripe"
	FeatureManual      Feature = "manual"
	FeatureOffline     Feature = "offline"
)

var features = []Feature{FeatureSale, FeatureVoid, FeatureRefund, FeatureBalance, FeaturePreAuth, FeatureSettlement,
	FeatureQRPayer, FeatureQRMerchant, FeatureContactless, FeatureMagstripe, FeatureManual, FeatureOffline}

// Batch is when a batch closes.
type Batch struct {
	SettleAt        string `json:"settle_at,omitempty"` // local "HH:MM"; absent: by hand
	MaxTransactions uint16 `json:"max_transactions"`    // then settle before the next sale
	PrintReport     bool   `json:"print_report"`
}

// AID is one application the terminal accepts (EMV 4.4 Book 1, 12.2; Book 3, annex A; Book 4, 10.5 and 10.6). Hex.
type AID struct {
	AID           string `json:"aid"`            // 5 to 16 bytes
	Label         string `json:"label"`          // shown when the card has none
	Partial       bool   `json:"partial"`        // Application Selection Indicator: partial name match allowed
	Version       string `json:"version"`        // 9F09, 2 bytes
	TACDefault    string `json:"tac_default"`    // 5 bytes
	TACDenial     string `json:"tac_denial"`     // 5 bytes
	TACOnline     string `json:"tac_online"`     // 5 bytes
	FloorLimit    int64  `json:"floor_limit"`    // 9F1B, minor units
	Threshold     int64  `json:"threshold"`      // for biased random selection, minor units, at most FloorLimit
	TargetPercent uint8  `json:"target_percent"` // 0 to 99
	MaxPercent    uint8  `json:"max_percent"`    // TargetPercent to 99
	DDOL          string `json:"ddol"`           // default DDOL, up to 64 bytes
	TDOL          string `json:"tdol,omitempty"` // default TDOL, up to 64 bytes
	Priority      uint8  `json:"priority"`       // among equals, 1 first; 0: none
}

// CAPK is one public key of a payment system's certification authority (EMV 4.4 Book 2, 11.2.2). Hex.
type CAPK struct {
	RID      string `json:"rid"`      // 5 bytes
	Index    string `json:"index"`    // 1 byte
	Modulus  string `json:"modulus"`  // 64 to 248 bytes
	Exponent string `json:"exponent"` // 03 or 010001
	Expiry   string `json:"expiry"`   // YYYY-MM-DD, last day of use
	Checksum string `json:"checksum"` // SHA-1 of RID, index, modulus, exponent
}
