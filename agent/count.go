package agent

import (
	"errors"
	"io/fs"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"posagent/agent/durable"
)

// count raises a counter that is kept over restarts and gives its new value,
// which is on disk by then. A damaged counter keeps nobody from selling: it goes
// on from the clock in seconds, which is above whatever it has counted before.
func (a *Agent) count(name string) (uint64, error) {
	path := filepath.Join(a.o.Dir, name+".count")
	var n uint64
	data, err := durable.Read(path)
	switch {
	case err == nil:
		if n, err = strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64); err != nil || n > math.MaxInt64 {
			n = uint64(max(a.o.Now().Unix(), 0))
			a.log.Error("counter is damaged; it goes on from the clock", "file", path, "from", n)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return 0, err
	}
	n++
	return n, durable.Write(path, []byte(strconv.FormatUint(n, 10)+"\n"))
}
