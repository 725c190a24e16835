package keys

import "context"

// Module is a Software with words of plain types, as a simulated device wants
// it: a device package may not import this one, so it declares an interface of
// its own and a *Module fits it.
type Module struct{ s *Software }

// Module gives the plain face of s; both are the same keys.
func (s *Software) Module() *Module { return &Module{s} }

// InstallWorking is Software.InstallWorking; use is "pin", "mac" or "track".
func (m *Module) InstallWorking(ctx context.Context, use string, cryptogram, kcv []byte) error {
	return m.s.InstallWorking(ctx, Use(use), cryptogram, kcv)
}

// MAC is Software.MAC; alg is "cup-ecb" or "x9.19".
func (m *Module) MAC(ctx context.Context, alg string, data []byte) ([8]byte, error) {
	return m.s.MAC(ctx, MACAlgorithm(alg), data)
}

// PINBlock is Software.PINBlock.
func (m *Module) PINBlock(ctx context.Context, pin []byte, pan string) ([8]byte, error) {
	return m.s.PINBlock(ctx, pin, pan)
}

// Slots gives the key check value of every key held, by "tmk" and use.
func (m *Module) Slots() map[string][4]byte {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	slots := make(map[string][4]byte)
	if !m.s.tmk.IsZero() {
		slots["tmk"] = m.s.tmk.KCV()
	}
	for use, k := range m.s.working {
		slots[string(use)] = k.KCV()
	}
	return slots
}

// Wipe is Software.Wipe.
func (m *Module) Wipe() { m.s.Wipe() }
