package journal

import (
	"fmt"
	"sync"
	"testing"
)

// A journal that is being written is as sound as one at rest: the check must not
// compare pages with a list of free ones that changes under it.
func TestVerifyWhileWriting(t *testing.T) {
	j, stop := start(t, testPath(t), testOptions())
	var writer sync.WaitGroup
	over := make(chan struct{})
	writer.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-over:
				return
			default:
				finish(t, j, begin(t, j, fmt.Sprint(i)).ID, approval())
			}
		}
	})
	for range 40 {
		sound(t, j)
	}
	close(over)
	writer.Wait()
	sound(t, j)
	stop()
	if _, err := j.Verify(t.Context()); err == nil {
		t.Error("a closed journal was verified")
	}
}
