package rotation

import (
	"testing"
	"time"
)

func TestLookAfter(t *testing.T) {
	in := func(d time.Duration) Block { return Block{Code: OldUsed, Again: noon.Add(d)} }
	tests := []struct {
		name    string
		missing []Block
		want    time.Duration
	}{
		{"only a use can open it", []Block{{Code: NewNeverUsed}}, time.Hour},
		{"what could not be read", []Block{{Code: NewUnknown}, {Code: OldUnknown}}, 30 * time.Minute},
		{"when the time is over", []Block{in(2 * time.Hour)}, 2 * time.Hour},
		{"not before the last of them", []Block{in(2 * time.Hour), in(3 * time.Hour)}, 3 * time.Hour},
		{"a use and the time", []Block{{Code: NewNeverUsed}, in(2 * time.Hour)}, 2 * time.Hour},
		{"never at once", []Block{in(time.Second)}, 30 * time.Minute},
		{"nor for what is past", []Block{in(-time.Hour)}, 30 * time.Minute},
		{"nor too late", []Block{in(23 * time.Hour)}, 6 * time.Hour},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := lookAfter(test.missing, noon).Sub(noon); got != test.want {
				t.Errorf("it looks again after %s, want %s", got, test.want)
			}
		})
	}
}

func TestProof_CountsHowOftenTheGateOpens(t *testing.T) {
	shut := []Block{{Code: NewNeverUsed}}
	var p Proof
	for i, step := range []struct {
		missing []Block
		opened  int
	}{{nil, 1}, {nil, 1}, {shut, 1}, {shut, 1}, {nil, 2}} {
		p = p.found(step.missing, noon)
		if p.Opened != step.opened || p.Open() != (step.missing == nil) || p.Again.IsZero() != p.Open() {
			t.Errorf("look %d: %+v, want opened %d times", i+1, p, step.opened)
		}
	}
	if (Proof{}).Open() {
		t.Error("a gate is open that nobody has looked at")
	}
}
