package judge

// A Key describes one setting: its name on the command line and in JSON.
type Key struct {
	Name string
	Arg  string // what the value is called; "" is a switch, true or false
	Help string
	Many bool // may be given again; every value counts
}

// Keys lists the settings in the order of a manual.
var Keys = []Key{
	{Name: "interface", Arg: "name", Help: "contact or contactless (default contact)"},
	{Name: "kernel", Arg: "number", Help: "contactless kernel 2, 3 or 7 for every application, instead of the one its AID belongs to"},
	{Name: "amount", Arg: "decimal", Help: "amount authorised in major units, other amount included, 9F02 (default 1)"},
	{Name: "other", Arg: "decimal", Help: "cashback part of the amount, 9F03 (default 0)"},
	{Name: "currency", Arg: "code", Help: "currency, 5F2A: ISO 4217 digits, or letters of one this terminal knows (default 156)"},
	{Name: "exponent", Arg: "digits", Help: "decimals of the currency, 5F36 (default: the currency's own, 2 when it is not known)"},
	{Name: "country", Arg: "code", Help: "terminal country, 9F1A: ISO 3166 digits (default 156)"},
	{Name: "type", Arg: "hex", Help: "transaction type, 9C: 00 purchase, 01 cash, 09 cashback, 20 refund, 31 inquiry (default 00)"},
	{Name: "date", Arg: "day", Help: "transaction date such as 2026-03-14, 9A (default today)"},
	{Name: "time", Arg: "time", Help: "transaction time such as 15:09:26, 9F21 (default now, noon with -date)"},
	{Name: "un", Arg: "hex", Help: "unpredictable number, 9F37: 4 bytes; a recorded signature or cryptogram holds only for its own (default random)"},
	{Name: "sequence", Arg: "number", Help: "transaction sequence counter, 9F41 (default 1)"},
	{Name: "force-online", Help: "the merchant wants the host to decide"},
	{Name: "terminal-type", Arg: "hex", Help: "terminal type, 9F35 (default 22: attended, offline with online capability)"},
	{Name: "capabilities", Arg: "hex", Help: "terminal capabilities, 9F33: 3 bytes (default E0F8C8)"},
	{Name: "additional", Arg: "hex", Help: "additional terminal capabilities, 9F40: 5 bytes (default F000F0A001)"},
	{Name: "ifd-serial", Arg: "text", Help: "interface device serial number, 9F1E (default 00000001)"},
	{Name: "terminal-id", Arg: "text", Help: "terminal identification, 9F1C (default 12345678)"},
	{Name: "merchant-id", Arg: "text", Help: "merchant identifier, 9F16 (default 123456789012345)"},
	{Name: "mcc", Arg: "digits", Help: "merchant category code, 9F15 (default 5411)"},
	{Name: "acquirer", Arg: "digits", Help: "acquirer identifier, 9F01 (default none)"},
	{Name: "aid", Arg: "hex[/exact]", Help: "an application the terminal accepts; cards may have a longer name unless /exact; may be repeated (default: the RIDs of the large schemes)", Many: true},
	{Name: "version", Arg: "hex", Help: "application version of every -aid, 9F09 (default 0002)"},
	{Name: "tac-default", Arg: "hex", Help: "terminal action code default of every -aid: 5 bytes (default DC4000A800)"},
	{Name: "tac-denial", Arg: "hex", Help: "terminal action code denial (default 0010000000)"},
	{Name: "tac-online", Arg: "hex", Help: "terminal action code online (default DC4004F800)"},
	{Name: "floor-limit", Arg: "decimal", Help: "floor limit, 9F1B, of every -aid and of the contactless reader: above it transactions go online (default 500)"},
	{Name: "random-threshold", Arg: "decimal", Help: "amount above which random selection is biased (default 0)"},
	{Name: "random-target", Arg: "percent", Help: "transactions below the floor limit that go online by chance (default 0)"},
	{Name: "random-max", Arg: "percent", Help: "the same at the floor limit (default: random-target)"},
	{Name: "ddol", Arg: "hex", Help: "default DDOL (default 9F3704)"},
	{Name: "tdol", Arg: "hex", Help: "default TDOL (default 9F0206)"},
	{Name: "risk-data", Arg: "hex", Help: "terminal risk management data, 9F1D (default none)"},
	{Name: "cvm-limit", Arg: "decimal", Help: "contactless reader CVM required limit (default 1000)"},
	{Name: "transaction-limit", Arg: "decimal", Help: "contactless reader transaction limit (default none)"},
	{Name: "ttq", Arg: "hex", Help: "terminal transaction qualifiers, 9F66: 4 bytes (default 36004000)"},
	{Name: "arc", Arg: "code", Help: "the host's answer to an online request, 8A: 00 approves; without it the run ends at the request"},
	{Name: "iad", Arg: "hex", Help: "issuer authentication data in that answer: value of 91"},
	{Name: "issuer-script", Arg: "hex", Help: "a template 71 or 72 in that answer; may be repeated", Many: true},
	{Name: "unable", Help: "the host cannot be reached"},
	{Name: "pin", Arg: "digits", Help: "what the cardholder enters when asked for a PIN: digits, bypass, cancel or broken (default 1234)"},
	{Name: "choose", Arg: "number", Help: "candidate the cardholder chooses, counted from 1 (default 1)"},
}
