package app_test

import "time"

var tracePlots = []plot{
	{"a forgotten application", shape{replicas: 1, users: hasDeploy, traced: true}, playTrace},
}

// playTrace has an owner who confirms too early: the bot looks for what still uses the old key, and they ask again.
func playTrace(p *play) {
	p.starts()
	p.issued(olivia, alice, ciDeploy)
	traced := func() time.Time { return p.rotation(ciDeploy).Trace.At }
	p.scene("the owner confirms too early", func() {
		p.until(func() bool { return !traced().IsZero() }, func() { p.click(olivia, "confirm", ciDeploy) })
	})
	p.scene("the owner asks who uses the old key", func() {
		p.leap(5 * time.Minute)
		before := traced()
		p.until(func() bool { return traced().After(before) }, func() { p.click(olivia, "trace", ciDeploy) })
	})
	p.abandoned(olivia, ciDeploy)
}
