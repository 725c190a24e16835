package escpos

// Bounds of the parser.
const (
	// MaxRowBytes is the widest raster line that is handed on; more is skipped.
	MaxRowBytes = 128
	// MaxTextBytes is the longest run of letters in one command.
	MaxTextBytes = 256
	// MaxNeed is the most bytes Next ever has to see to make progress.
	MaxNeed = MaxRowBytes
)

// Op is the kind of a Command.
type Op uint8

const (
	// OpNone has no effect that matters on paper: NUL, CR, selections this wire
	// does not use.
	OpNone Op = iota
	// OpUnknown is a command that is not in the table; Data holds its first bytes.
	OpUnknown
	// OpInit is ESC @.
	OpInit
	// OpText is letters in GB18030, in Data.
	OpText
	// OpLine is LF: print the line.
	OpLine
	// OpFeedLines is ESC d: print and feed N lines.
	OpFeedLines
	// OpFeed is ESC J: feed N dot lines.
	OpFeed
	// OpSpacing is ESC 3 (N dot lines) or ESC 2 (30).
	OpSpacing
	// OpRaster is the head of GS v 0: N bytes wide, Rows high, scaled by Mode.
	OpRaster
	// OpRow is one line of it, in Data, at most MaxRowBytes.
	OpRow
	// OpSkip is data of a command that is passed over.
	OpSkip
	// OpAck is GS r N.
	OpAck
	// OpRealTime is DLE EOT N as it passes through the buffer; a printer has
	// answered it long before.
	OpRealTime
	// OpCut is GS V; N is the feed in dot lines.
	OpCut
	// OpMode is ESC !, OpBold ESC E, OpUnderline ESC -, OpAlign ESC a, OpSize GS !,
	// OpInvert GS B, each with its parameter in N.
	OpMode
	OpBold
	OpUnderline
	OpAlign
	OpSize
	OpInvert
)

// Command is one decoded command. Data aliases the caller's buffer.
type Command struct {
	Op   Op
	Mode uint8
	N    uint16
	Rows uint16
	Data []byte
}

// Parser splits printer bytes into commands. The zero value is a printer that has
// just been switched on.
type Parser struct {
	rows  uint16 // raster lines still to come
	width uint32 // bytes of each
	skip  uint32 // bytes to pass over
}

// Busy reports whether the parser is inside the data of a command.
func (p *Parser) Busy() bool { return p.rows > 0 || p.skip > 0 }

// Next decodes one command from the head of buf and tells how many bytes it took.
// n is zero when buf does not hold enough; MaxNeed bytes are always enough.
func (p *Parser) Next(buf []byte) (cmd Command, n int) {
	switch {
	case len(buf) == 0:
		return Command{}, 0
	case p.skip > 0:
		n = int(min(uint64(p.skip), uint64(len(buf))))
		p.skip -= uint32(n)
		return Command{Op: OpSkip, Data: buf[:n]}, n
	case p.rows > 0:
		return p.row(buf)
	}
	switch buf[0] {
	case lf:
		return Command{Op: OpLine}, 1
	case esc, gs, fs:
		if len(buf) < 2 {
			return Command{}, 0
		}
		return p.escape(buf)
	case dle:
		if len(buf) < 3 {
			return Command{}, 0
		}
		if buf[1] == eot {
			return Command{Op: OpRealTime, N: uint16(buf[2])}, 3
		}
		return Command{Op: OpUnknown, Data: buf[:1]}, 1
	}
	if buf[0] < 0x20 {
		return Command{Op: OpNone}, 1
	}
	for n < len(buf) && n < MaxTextBytes && buf[n] >= 0x20 {
		n++
	}
	return Command{Op: OpText, Data: buf[:n]}, n
}

// row takes one raster line.
func (p *Parser) row(buf []byte) (Command, int) {
	n := int(min(p.width, MaxRowBytes))
	if len(buf) < n {
		return Command{}, 0
	}
	p.rows--
	p.skip = p.width - uint32(n)
	return Command{Op: OpRow, Data: buf[:n]}, n
}

// form is the shape of a command of fixed length.
type form struct {
	op     Op
	params int
}

// forms are the commands with their parameter counts. N is the last parameter.
var forms = map[[2]byte]form{
	{esc, '@'}: {OpInit, 0}, {esc, '2'}: {OpSpacing, 0}, {esc, '3'}: {OpSpacing, 1},
	{esc, 'J'}: {OpFeed, 1}, {esc, 'd'}: {OpFeedLines, 1}, {gs, 'r'}: {OpAck, 1},
	{esc, '!'}: {OpMode, 1}, {esc, 'E'}: {OpBold, 1}, {esc, '-'}: {OpUnderline, 1}, {esc, 'a'}: {OpAlign, 1},
	{gs, '!'}: {OpSize, 1}, {gs, 'B'}: {OpInvert, 1},
	// Without effect here: density, code pages, modes, margins, beeper, panel keys.
	{esc, '7'}: {OpNone, 3}, {esc, ' '}: {OpNone, 1}, {esc, 'R'}: {OpNone, 1}, {esc, 't'}: {OpNone, 1},
	{esc, 'G'}: {OpNone, 1}, {esc, 'M'}: {OpNone, 1}, {esc, 'c'}: {OpNone, 2}, {esc, '='}: {OpNone, 1},
	{esc, '{'}: {OpNone, 1}, {esc, 'B'}: {OpNone, 2}, {esc, 'p'}: {OpNone, 3}, {esc, '$'}: {OpNone, 2},
	{gs, 'a'}: {OpNone, 1}, {gs, 'L'}: {OpNone, 2}, {gs, 'W'}: {OpNone, 2}, {gs, 'P'}: {OpNone, 2},
	{gs, 'h'}: {OpNone, 1}, {gs, 'w'}: {OpNone, 1}, {gs, 'H'}: {OpNone, 1}, {gs, 'f'}: {OpNone, 1},
	{fs, '&'}: {OpNone, 0}, {fs, '.'}: {OpNone, 0}, {fs, '!'}: {OpNone, 1}, {fs, 'C'}: {OpNone, 1},
	{fs, 'S'}: {OpNone, 2},
}

// defaultSpacing is the line pitch after ESC 2 and ESC @, in dots.
const defaultSpacing = 30

// escape decodes a command that starts with ESC, GS or FS.
func (p *Parser) escape(buf []byte) (Command, int) {
	f, ok := forms[[2]byte{buf[0], buf[1]}]
	if !ok {
		return p.variable(buf)
	}
	n := 2 + f.params
	if len(buf) < n {
		return Command{}, 0
	}
	cmd := Command{Op: f.op}
	if f.params > 0 {
		cmd.N = uint16(buf[n-1])
	} else if f.op == OpSpacing {
		cmd.N = defaultSpacing
	}
	return cmd, n
}

// variable decodes the commands whose length is in their parameters.
func (p *Parser) variable(buf []byte) (Command, int) {
	switch {
	case buf[0] == gs && buf[1] == 'v':
		if len(buf) > 2 && buf[2] != '0' {
			return Command{Op: OpUnknown, Data: buf[:2]}, 2
		}
		if len(buf) < 8 {
			return Command{}, 0
		}
		cmd := Command{Op: OpRaster, Mode: buf[3], N: uint16(buf[4]) | uint16(buf[5])<<8, Rows: uint16(buf[6]) | uint16(buf[7])<<8}
		if cmd.N > 0 {
			p.rows, p.width = cmd.Rows, uint32(cmd.N)
		}
		return cmd, 8
	case buf[0] == gs && buf[1] == 'V':
		return cut(buf)
	case buf[0] == gs && buf[1] == '(':
		if len(buf) < 5 {
			return Command{}, 0
		}
		p.skip = uint32(buf[3]) | uint32(buf[4])<<8
		return Command{Op: OpUnknown, Data: buf[:5]}, 5
	case buf[0] == esc && buf[1] == '*':
		if len(buf) < 5 {
			return Command{}, 0
		}
		p.skip = uint32(buf[3]) | uint32(buf[4])<<8
		if buf[2] >= 32 { // 24-dot modes
			p.skip *= 3
		}
		return Command{Op: OpUnknown, Data: buf[:5]}, 5
	}
	return Command{Op: OpUnknown, Data: buf[:2]}, 2
}

// cut decodes GS V: functions 65, 66 (and 97 to 104) have a feed, the others not.
func cut(buf []byte) (Command, int) {
	switch {
	case len(buf) < 3:
		return Command{}, 0
	case buf[2] < 65:
		return Command{Op: OpCut}, 3
	case len(buf) < 4:
		return Command{}, 0
	}
	return Command{Op: OpCut, N: uint16(buf[3])}, 4
}
